// Every page, in both themes and two widths: a picture for people, and axe for everybody.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "./harness.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const JUMP_MOST = 0.1; // what the web vitals call good
const looks = [
  ["light", 1280, 800],
  ["dark", 1280, 800],
  ["dark", 390, 844],
  ["light", 390, 844],
];

// axe is put in through the debugger, which no policy of the page concerns.
async function faults(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter((one) => ["serious", "critical"].includes(one.impact))
      .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3)}`);
  });
}

async function pagesOf(world) {
  const get = async (path) => (await ask(world.page, "GET", path)).json;
  const key = (await get("/v1/keys"))[0];
  const click = (name) => (page) => page.getByRole("button", { name }).first().click();
  return {
    quickstart: ["/quickstart"],
    live: ["/live"],
    sessions: ["/sessions"],
    session: [`/sessions/${world.session}`, (page) => page.locator(".chart canvas").first().waitFor()],
    insights: ["/insights"],
    devices: ["/devices"],
    "devices-physical": ["/devices?tab=units"],
    "device-type": [`/devices/types/${world.model.id}`],
    "device-register": ["/devices", click("Register Device Type")],
    keys: ["/keys"],
    key: [`/keys/${key.id}`],
    "key-create": ["/keys", click("Create key")],
    "key-delete": ["/keys", click(/^Delete /)],
    usage: ["/usage"],
    audit: ["/audit"],
    settings: ["/settings"],
    "not-found": ["/nowhere"],
  };
}

async function lookAt(page, name, folder, found) {
  for (const [scheme, width, height] of looks) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.screenshot({ path: join(folder, `${name}-${scheme}-${width}.png`) });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) found.push(`${name}, ${width} wide: ${over} pixels too wide`);
    const tables = await page.evaluate(() => [...document.querySelectorAll(".table-scroll")].filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.getAttribute("aria-label")));
    if (tables.length) found.push(`${name}, ${width} wide: must be scrolled sideways: ${tables}`);
    for (const fault of await faults(page)) found.push(`${name}, ${scheme}, ${width} wide: ${fault}`);
  }
}

// How much of the page has moved by itself since it was opened: 0 is nothing, 1 all of it.
const moved = (page) =>
  page.evaluate(
    () =>
      new Promise((done) => {
        let sum = 0;
        const observer = new PerformanceObserver((list) => {
          for (const one of list.getEntries()) if (!one.hadRecentInput) sum += one.value;
        });
        observer.observe({ type: "layout-shift", buffered: true });
        setTimeout(() => done(sum), 50);
      }),
  );

export async function look(browser, world) {
  const folder = process.env.SCREENSHOTS;
  mkdirSync(folder, { recursive: true });
  const found = [];
  const outside = await browser.window();
  for (const name of ["login", "signup"]) {
    await outside.goto(`/${name}`);
    await outside.locator("h1").waitFor();
    await lookAt(outside, name, folder, found);
  }
  await outside.context().close();
  const { page } = world;
  const pages = await pagesOf(world);
  for (const [name, [path, then]] of Object.entries(pages)) {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(path);
    await page.locator("h1, .empty h2").first().waitFor();
    await page.waitForFunction(() => !document.querySelector(".bone"));
    const jump = await moved(page);
    if (jump > JUMP_MOST) found.push(`${name}: ${jump.toFixed(3)} of it jumped while it loaded`);
    if (then) await then(page);
    await lookAt(page, name, folder, found);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: "light", reducedMotion: null });
  assert.deepEqual(found, []);
  return { pictures: (Object.keys(pages).length + 2) * looks.length };
}

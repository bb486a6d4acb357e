// The programs of the quickstart, run as they are shown: three devices of the newcomer.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./harness.mjs";

const languages = {
  Python: { file: "device.py", command: (file) => [process.env.PYTHON || "python3", "-u", file] },
  JavaScript: { file: "device.js", command: (file) => [process.execPath, file] },
  C: {
    file: "device.c",
    command: (file) => {
      const program = file.replace(/\.c$/, "");
      const flags = ["-Wall", "-Wextra", "-Werror", file, "-o", program, "-lwebsockets", "-lm"];
      const [cc, ...first] = (process.env.CC || "cc").split(" ");
      const built = spawnSync(cc, [...first, ...flags], { encoding: "utf8" });
      assert.equal(built.status, 0, built.stderr || String(built.error));
      return [program];
    },
  },
};

export class Programs {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "raeh-quickstart-"));
    this.running = new Map();
  }

  start(language, text, key) {
    const { file, command } = languages[language];
    const path = join(this.folder, file);
    const device = `watch-${language.toLowerCase()}`;
    writeFileSync(path, text.replaceAll("my-watch", device));
    const [program, ...args] = command(path);
    const child = spawn(program, args, { env: { ...process.env, RAEH_KEY: key } });
    const said = { out: "", ended: false, device };
    child.stdout.on("data", (data) => (said.out += data));
    child.stderr.on("data", (data) => (said.out += data));
    child.on("exit", () => (said.ended = true));
    this.running.set(language, { child, said });
  }

  // Each has had its handshake.
  async streaming() {
    for (const [language, { said }] of this.running)
      await until(`${language} streams: ${said.out}`, () => {
        assert.ok(!said.ended, `${language} ended: ${said.out}`);
        return /session/.test(said.out);
      });
  }

  async allEnd() {
    for (const [language, { child, said }] of this.running)
      await until(`${language} is closed: ${said.out}`, () => said.ended || /closed with|4001/.test(said.out) || child.exitCode !== null);
    return [...this.running].map(([language, { said }]) => [language, said.out]);
  }

  stop() {
    for (const { child } of this.running.values()) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

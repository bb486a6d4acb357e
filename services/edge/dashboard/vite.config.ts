import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

// The theme is set before the first paint, by a script that blocks: no flash of the other one.
// It is a file of its own because the policy of the page allows no inline script.
function themeFirst(): Plugin {
  const source = readFileSync(new URL("src/theme-first.js", import.meta.url), "utf8");
  const name = `assets/theme-${createHash("sha256").update(source).digest("hex").slice(0, 8)}.js`;
  return {
    name: "theme-first",
    apply: "build",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: name, source });
    },
    transformIndexHtml: () => [
      { tag: "script", attrs: { src: `/${name}` }, injectTo: "head-prepend" },
    ],
  };
}

export default defineConfig({
  base: "/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  plugins: [themeFirst()],
  build: {
    target: "es2020",
    assetsInlineLimit: 0, // a data: URL would need a wider policy
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080", "/stream": { target: "http://127.0.0.1:8080", ws: true } } },
});

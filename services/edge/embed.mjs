// Files of the built dashboard into one C file: as they are, and compressed as small as it goes.
//
//   node services/edge/embed.mjs DIST OUT.c
//
// What stands under assets/ has the digest of its content in its name (Vite's doing), so a
// browser may keep it for ever. The others are asked about each time, by their ETag.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { extname, join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

function files(folder) {
  return readdirSync(folder).sort().flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

function bytes(name, data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 24)
    lines.push("\t" + [...data.subarray(at, at + 24)].join(","));
  return `static const unsigned char ${name}[] = {\n${lines.join(",\n")}\n};\n`;
}

const [dist, out] = process.argv.slice(2);
const arrays = [], rows = [];
for (const [n, path] of files(dist).entries()) {
  const plain = readFileSync(path);
  const name = "/" + relative(dist, path).replaceAll("\\", "/");
  const type = TYPES[extname(path)];
  if (!type)
    throw new Error(`${name}: its type is not known here`);
  const forms = {
    plain,
    gzip: gzipSync(plain, { level: 9 }),
    br: brotliCompressSync(plain, { params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }),
  };
  const members = Object.entries(forms).map(([form, data]) => {
    if (data.length === 0 || (form !== "plain" && data.length >= plain.length))
      return "{ 0 }";
    arrays.push(bytes(`${form}_${n}`, data));
    return `{ ${form}_${n}, sizeof ${form}_${n} }`;
  });
  const tag = createHash("sha256").update(plain).digest("base64url").slice(0, 22);
  rows.push(`\t{ "${name}", "${type}", "\\"${tag}\\"", ${name.startsWith("/assets/")},\n` +
            `\t  ${members.join(", ")} },\n`);
}
if (!rows.some((row) => row.includes('"/index.html"')))
  throw new Error(`${dist} has no index.html`);
writeFileSync(out + ".new", "/* Made by services/edge/embed.mjs. */\n" +
  '#include "services/edge/assets.h"\n\n' + arrays.join("") +
  `const struct asset assets[] = {\n${rows.join("")}};\n` +
  "const size_t assets_count = sizeof assets / sizeof assets[0];\n");
renameSync(out + ".new", out);

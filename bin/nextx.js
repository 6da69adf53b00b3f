#!/usr/bin/env node
/**
 * Entry of the command line, plain JavaScript so that it runs before anything is built. In the published package it
 * imports dist/; in a repository checkout it imports a build of src/ under .build/cli/<fingerprint of src/>, made when
 * that folder is missing. A build is never changed after it appeared, so running processes keep theirs.
 * Contract with the entry: it exports `main(argv, version)`.
 */
import "./checkNode.js";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const isCheckout = existsSync(`${root}src/cli/main.ts`);

/** Relative path, time and size of every file that can be part of the command line, as one short name. */
function fingerprint() {
  let text = "";
  const note = (path) => {
    const { mtimeMs, size } = statSync(root + path);
    text += `${path} ${mtimeMs} ${size}\n`;
  };
  const walk = (folder) => {
    for (const entry of readdirSync(root + folder, { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (entry.name !== "testing" && entry.name !== "fixtures") walk(path);
      } else if (!entry.name.endsWith(".test.ts")) note(path);
    }
  };
  note("scripts/build.js");
  walk("src");
  return hash(text);
}

/** 53 bits of a string (cyrb53); node:crypto would cost 6 ms of start-up. */
function hash(text) {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (b & 0x1fffff) + (a >>> 0)).toString(36);
}

/** URL of the built entry. Sources that change during a build are built again, three times at most. */
async function builtEntry() {
  if (!isCheckout) return new URL("../dist/main.js", import.meta.url);
  const current = () => `.build/cli/${fingerprint()}`;
  let folder = current();
  for (let attempt = 0; attempt < 3 && !existsSync(`${root}${folder}/main.js`); attempt++) {
    const { buildCommandLine } = await import("../scripts/build.js");
    await buildCommandLine(folder);
    if (attempt < 2) folder = current();
  }
  return new URL(`../${folder}/main.js`, import.meta.url);
}

function explain(error) {
  if (error?.code === "ERR_MODULE_NOT_FOUND" && /Cannot find package/.test(error.message)) {
    const [, name = "a package"] = /Cannot find package '([^']+)'/.exec(error.message) ?? [];
    const cure = isCheckout ? "Run `npm ci --ignore-scripts` in the repository" : "Install nextx again";
    return `nextx: ${name} is not installed. ${cure}, then try again.`;
  }
  if (error?.code === "ERR_MODULE_NOT_FOUND" && !isCheckout)
    return "nextx: this package has no dist/ folder; it was packed without `npm run build`.";
  const detail = /^Build failed/.test(error?.message) ? error.message : (error?.stack ?? error);
  return `nextx: the ${isCheckout ? "sources in src/ do not build or load" : "package does not load"}.\n${detail}`;
}

let entry;
try {
  entry = await import((await builtEntry()).href);
} catch (error) {
  console.error(explain(error));
  process.exit(1);
}
await entry.main(process.argv.slice(2), JSON.parse(readFileSync(`${root}package.json`, "utf8")).version);

/**
 * Builds with tsdown: the command line of a checkout into .build/cli/<name> (a folder appears complete or not at all),
 * a TypeScript script for one run, and dist/ with type declarations for the package. Installed packages are never
 * bundled.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "tsdown";

const root = fileURLToPath(new URL("..", import.meta.url));
const keepBuilds = 10;
const keepMs = 24 * 3600 * 1000;

const options = {
  config: false,
  cwd: root,
  format: "esm",
  platform: "neutral",
  target: "es2022",
  fixedExtension: false,
  deps: { neverBundle: [/^(?!@oxc-project\/runtime)(?:node:)?[@a-z][^:]*$/i] },
  logLevel: "silent",
  report: false,
  dts: false,
};

function entries() {
  return {
    main: "src/cli/main.ts",
    computeWorker: "src/server/compute/worker.node.ts",
    operator: "src/server/operations/operator.node.ts",
    witness: "src/cli/benches/serve/witness.ts",
    index: "src/index.node.ts",
    web: "src/index.web.ts",
  };
}

/** Builds the command line into `folder` (relative to the repository); another process that was first wins. */
export async function buildCommandLine(folder) {
  const target = join(root, folder);
  const parent = dirname(target);
  mkdirSync(parent, { recursive: true });
  const temporary = join(parent, `tmp-${process.pid}-${Math.random().toString(36).slice(2)}`);
  try {
    await build({ ...options, entry: entries(), outDir: temporary, clean: false, sourcemap: true });
    try {
      renameSync(temporary, target);
    } catch (error) {
      if (!existsSync(join(target, "main.js"))) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  removeOldBuilds(parent, target);
}

/** Removes builds older than a day except the newest ten: a running process may still import parts of its build. */
function removeOldBuilds(parent, current) {
  const old = readdirSync(parent)
    .map((name) => join(parent, name))
    .filter((path) => path !== current)
    .map((path) => ({ path, mtimeMs: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity }))
    .sort((a, b) => b.mtimeMs - a.mtimeMs)
    .slice(keepBuilds)
    .filter(({ mtimeMs }) => Date.now() - mtimeMs > keepMs);
  for (const { path } of old) rmSync(path, { recursive: true, force: true });
}

/** Imports a TypeScript file of the repository (path relative to it) under the oldest supported Node. */
export async function importTypeScript(path) {
  const outDir = join(root, ".build/scripts", `${process.pid}-${Math.random().toString(36).slice(2)}`);
  try {
    await build({ ...options, entry: { script: path }, outDir, clean: false });
    return await import(pathToFileURL(join(outDir, "script.js")).href);
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

/** Names the sources of the studio that dist/studio was built from. */
const studioMarker = join(root, ".build/studio.sha256");

function studioFingerprint() {
  const hash = createHash("sha256");
  for (const folder of ["studio", "src"]) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).sort()) {
      if (/^cli\b|\.(node|test)\.ts$/.test(name)) continue; // never in a page
      const path = join(root, folder, name);
      if (statSync(path).isFile()) hash.update(`${name}\n`).update(readFileSync(path));
    }
  }
  return hash.digest("hex");
}

/** Builds the studio into dist/studio. */
async function buildStudio() {
  const fingerprint = studioFingerprint();
  const { build: bundle } = await import("vite");
  await bundle({ configFile: join(root, "studio/vite.config.ts"), logLevel: "warn" });
  mkdirSync(dirname(studioMarker), { recursive: true });
  writeFileSync(studioMarker, fingerprint);
}

/** Builds the studio unless dist/studio is what its sources give. */
export async function ensureStudio(say = console.log) {
  const isBuilt = existsSync(join(root, "dist/studio/index.html")) && existsSync(studioMarker);
  if (isBuilt && readFileSync(studioMarker, "utf8") === studioFingerprint()) return;
  say("Building the studio, a few seconds ...");
  await buildStudio();
}

/** Builds dist/: the command line, the public API when there is one, declarations, the studio. */
export async function buildPackage() {
  await build({ ...options, entry: entries(), outDir: join(root, "dist"), clean: true, dts: true });
  await buildStudio();
}

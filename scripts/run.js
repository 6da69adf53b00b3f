/**
 * `node scripts/run.js <task> [arguments]`: what the npm scripts call. Installs what is missing first; relies on no
 * pre- or post-script, because npm skips them when install scripts are off. No dependencies: it runs before any exist.
 */
import "../bin/checkNode.js";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
const tsc = join(root, "node_modules/typescript/bin/tsc");
const svelteCheck = join(root, "node_modules/svelte-check/bin/svelte-check");
const vitest = join(root, "node_modules/vitest/vitest.mjs");

const tasks = {
  start: { text: "open the studio; --no-open only prints its address", run: start },
  test: { text: "run the tests; arguments go to vitest", run: (args) => node(vitest, "run", ...args) },
  browser: {
    text: "the tests in the system's Chromium, each with what it measured",
    run: (args) => node(vitest, "run", "test/browser", "--reporter=verbose", ...args),
  },
  contract: { text: "every op and program on cpu, wasm and WebGPU; prints a table", run: contract },
  check: { text: "format, lint, types and layers", run: check },
  layers: { text: "import rules; --report prints file sizes", run: layers },
  ship: { text: "put a finished run's model into models/ with its card", run: ship },
  "ship-arm": { text: "put a claim arm's model into models/ with its card", run: shipArm },
  classifier: { text: "train and freeze the classifier of a data set", run: classifier },
  "random-checkpoint": { text: "a published size with random weights in its layout", run: randomCheckpoint },
  pages: {
    text: "docs/SYSTEMS.md and a page per system; --check says whether they are up to date",
    run: pages,
  },
  build: { text: "build dist/ for the package", run: buildPackage },
};

const [name = "", ...rest] = process.argv.slice(2);
const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined;
if (task) {
  process.exitCode = (await install()) || (await task.run(rest));
} else {
  const lines = Object.entries(tasks).map(([key, { text }]) => `  ${key.padEnd(19)}${text}`);
  console.error(`Usage: node scripts/run.js <task> [arguments]\n${lines.join("\n")}`);
  process.exitCode = 64;
}

async function start(args) {
  const { ensureStudio } = await import("./build.js");
  await ensureStudio();
  const rest = args.filter((arg) => arg !== "--no-open");
  return node("bin/nextx.js", "serve", ...(rest.length < args.length ? [] : ["--open"]), ...rest);
}

async function check() {
  const steps = {
    "format and lint": () => node(biome, "check", "."),
    types: () => node(tsc),
    "types of the studio": () => node(svelteCheck, "--tsconfig", "studio/tsconfig.json", "--output", "human"),
    layers: () => layers([]),
  };
  const failed = [];
  for (const [step, run] of Object.entries(steps)) {
    const code = await run();
    console.log(`${step}: ${code ? "failed" : "ok"}`);
    if (code) failed.push(step);
  }
  return failed.length > 0 ? 1 : 0;
}

async function layers(args) {
  const { importTypeScript } = await import("./build.js");
  const script = await importTypeScript("scripts/checkLayers.ts");
  return script.main(root, args);
}

async function contract(args) {
  const { importTypeScript } = await import("./build.js");
  const script = await importTypeScript("scripts/contract.ts");
  return script.main(root, args);
}

async function ship(args) {
  const { importTypeScript } = await import("./build.js");
  const script = await importTypeScript("scripts/shipModel.ts");
  return script.main(root, args);
}

async function shipArm(args) {
  const { importTypeScript } = await import("./build.js");
  const script = await importTypeScript("scripts/shipArm.ts");
  return script.main(root, args);
}

async function classifier(args) {
  const { importTypeScript } = await import("./build.js");
  const script = await importTypeScript("scripts/trainClassifier.ts");
  return script.main(root, args);
}

async function randomCheckpoint(args) {
  const { importTypeScript } = await import("./build.js");
  const script = await importTypeScript("scripts/randomCheckpoint.ts");
  return script.main(root, args);
}

async function pages(args) {
  const { importTypeScript } = await import("./build.js");
  const script = await importTypeScript("scripts/systemPages.ts");
  return script.main(root, args);
}

async function buildPackage() {
  const build = await import("./build.js");
  await build.buildPackage();
  console.log("built dist/");
  return 0;
}

/** Runs `npm ci` unless node_modules is what package-lock.json asks for; returns an exit code. */
async function install() {
  const modules = join(root, "node_modules");
  const marker = join(modules, ".nextx-lock");
  const lock = readFileSync(join(root, "package-lock.json"));
  const hash = createHash("sha256").update(lock).digest("hex");
  if (existsSync(marker) && readFileSync(marker, "utf8") === hash) return 0;
  if (!isInstalled(JSON.parse(lock.toString()), join(modules, ".package-lock.json"))) {
    console.log("Installing dependencies (npm ci --ignore-scripts), a minute or two ...");
    const code = await npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error");
    if (code) {
      console.error(
        "Dependencies could not be installed. Run `npm ci --ignore-scripts` with a network connection.",
      );
      return code;
    }
  }
  writeFileSync(marker, hash);
  return 0;
}

/** Whether npm's own record of node_modules has every package of the lockfile in its version. */
function isInstalled(lock, recordPath) {
  if (!existsSync(recordPath)) return false;
  const record = JSON.parse(readFileSync(recordPath, "utf8")).packages ?? {};
  return Object.entries(lock.packages).every(
    ([path, wanted]) =>
      path === "" ||
      (record[path] ? record[path].version === wanted.version : wanted.optional || wanted.peer),
  );
}

/** Runs npm: the one that started us, or the one on the path. */
function npm(...args) {
  const path = process.env.npm_execpath;
  if (path && /npm-cli\.[cm]?js$/.test(path)) return node(path, ...args);
  return child(process.platform === "win32" ? "npm.cmd" : "npm", args, process.platform === "win32");
}

function node(...args) {
  return child(process.execPath, args, false);
}

/** Runs a program in the repository with our terminal; Ctrl-C reaches it directly, and we wait for it to end. */
function child(command, args, shell) {
  return new Promise((resolve) => {
    const started = spawn(command, args, { cwd: root, stdio: "inherit", shell });
    const ignore = () => {};
    const forward = () => started.kill("SIGTERM");
    process.on("SIGINT", ignore);
    process.on("SIGTERM", forward);
    const done = (code) => {
      process.off("SIGINT", ignore);
      process.off("SIGTERM", forward);
      resolve(code);
    };
    started.on("error", (error) => {
      console.error(`${command}: ${error.message}`);
      done(1);
    });
    started.on("close", (code, signal) => done(code ?? (signal === "SIGINT" ? 130 : 143)));
  });
}

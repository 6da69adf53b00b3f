/** `nextx serve [MODEL...]`: the studio and the HTTP API, on this machine unless told otherwise. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Command } from "commander";
import { dataRootFromEnvironment, hasDesktop, tokenFromEnvironment } from "../../environment.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags } from "../deviceFlags.ts";
import { integer } from "../numbers.ts";
import { interruptSignal, print, printJson } from "../output.ts";

/** Entry of the computing process, built beside this file. */
const workerFile = "computeWorker.js";
/** Entry of the processes that do long work. */
const operatorFile = "operator.js";

interface Flags extends DeviceFlags {
  readonly host: string;
  readonly port: number;
  readonly allowHost: readonly string[];
  readonly maxWaiting: number;
  readonly runs: string;
  readonly jobs?: string;
  readonly results: string;
  readonly data?: string;
  readonly open?: boolean;
}

/** Declares the command. */
export function define(command: Command, context: Context): void {
  addDeviceFlags(command)
    .argument("[model...]", "models besides those that ship and the finished runs: names, folders or files")
    .option("--host <name>", "address to listen on; beyond this machine NEXTX_TOKEN is required", "127.0.0.1")
    .option("-p, --port <n>", "port; 0 takes a free one", integer(0, 65_535), 7878)
    .option(
      "--allow-host <name>",
      "a name by which clients may call, besides the address; repeatable",
      (name: string, all: readonly string[]) => [...all, name],
      [] as readonly string[],
    )
    .option("--max-waiting <n>", "requests that may wait; more are refused", integer(1, 10_000), 64)
    .option("--runs <folder>", "folder of runs: new ones go there, finished ones are models, too", "runs")
    .option("--jobs <folder>", "folder of the jobs (default: RUNS/.jobs)")
    .option(
      "--results <folder>",
      "folder of results of claims; what is there is kept and continued",
      "results",
    )
    .option("--data <folder>", "folder of data sets to train on (default: NEXTX_DATA)")
    .option("--open", "open the studio in a browser")
    .option("--json", "machine output")
    .action((models: readonly string[], flags: Flags) => run(models, flags, context));
}

async function loadServer() {
  try {
    return await import("../../server/serve.node.ts");
  } catch (cause) {
    const missing = /Cannot find package '([^']+)'/.exec(cause instanceof Error ? cause.message : "")?.[1];
    if (missing === undefined) throw cause;
    throw new NextxError("OPTIONAL_DEPENDENCY_MISSING", `${missing} is not installed.`, {
      hint: "Install the server's packages: npm install hono @hono/node-server @hono/zod-openapi prom-client",
      cause,
    });
  }
}

async function run(models: readonly string[], flags: Flags, { version, json }: Context): Promise<void> {
  const { startServer } = await loadServer();
  const signal = interruptSignal();
  const server = await startServer({
    ...flags,
    version,
    models,
    worker: new URL(workerFile, import.meta.url),
    allowHosts: flags.allowHost,
    token: tokenFromEnvironment(),
    jobs: flags.jobs ?? join(flags.runs, ".jobs"),
    operations: join(flags.runs, ".operations"),
    files: join(flags.runs, ".files"),
    operator: new URL(operatorFile, import.meta.url),
    dataRoot: flags.data ?? dataRootFromEnvironment(),
  });
  if (json) printJson({ url: server.url, pid: process.pid });
  else {
    print(server.hasStudio ? `studio: ${server.url}` : "The studio is not built: node scripts/run.js build");
    print(`API:    ${server.url}docs\nCtrl-C stops the server.`);
  }
  if (flags.open && server.hasStudio) openBrowser(server.url);
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  await server.stop();
  process.exit(0); // connections of clients that do not read may be left
}

/** Opens the system's browser where there is one; says nothing otherwise, the address is printed. */
function openBrowser(url: string): void {
  if (!hasDesktop()) return;
  const [program, ...args] =
    process.platform === "win32"
      ? ["cmd", "/c", "start", "", url]
      : [process.platform === "darwin" ? "open" : "xdg-open", url];
  const child = spawn(program as string, args as string[], { stdio: "ignore", detached: true }); // a list of words
  child.on("error", () => undefined);
  child.unref();
}

/** A built studio with its server, as `npm start` gives it, for browser tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface StartedServer {
  readonly url: string;
  /** The process that starts the server; its child serves. */
  readonly child: ChildProcess;
}

/** Builds what is missing and serves it from a folder of runs. */
export function startServer(runs: string): Promise<StartedServer> {
  const args = [
    "start",
    "--no-open",
    "--json",
    "--port=0",
    `--runs=${runs}`,
    `--results=${join(runs, "results")}`,
  ];
  const child = spawn(process.execPath, [join(root, "scripts/run.js"), ...args], { cwd: root });
  return new Promise((resolve, reject) => {
    let text = "";
    const read = (data: Buffer) => {
      text += data;
      const url = /"url":"([^"]+)"/.exec(text)?.[1];
      if (url) resolve({ url, child });
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", (code) => reject(new Error(`exit ${code}: ${text}`)));
  });
}

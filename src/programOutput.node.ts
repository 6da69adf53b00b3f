/** Other programs, and ours in a process of its own. */
import { spawn } from "node:child_process";
import { NextxError } from "./tensor/errors.ts";

/** A program's output once it has ended well. @throws NextxError BENCH_REFERENCE_FAILED */
export function outputOf(program: string, args: readonly string[], what: string): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  return new Promise((resolve, reject) => {
    const fail = (reason: string) =>
      reject(new NextxError("BENCH_REFERENCE_FAILED", `${what}: ${reason}.`, { path: program }));
    child.on("error", ({ message }) => fail(message));
    child.on("close", (code) => (code === 0 ? resolve(out) : fail(`exit code ${code}`)));
  });
}

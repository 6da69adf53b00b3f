/** Runs the PyTorch scripts of bench/, which print one line of JSON. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../models.node.ts";
import { NextxError } from "../../tensor/errors.ts";

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

/** What a script of bench/ prints. @throws NextxError BENCH_NO_REFERENCE, BENCH_REFERENCE_FAILED */
export async function reference(python: string, script: string, args: readonly string[]): Promise<unknown> {
  const path = join(packageRoot(), "bench", script);
  if (!existsSync(path))
    throw new NextxError("BENCH_NO_REFERENCE", `${path} is missing: it is in the repository only.`, { path });
  return JSON.parse(await outputOf(python, [path, ...args], script));
}

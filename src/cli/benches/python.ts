/** Runs the PyTorch scripts of bench/, which print one line of JSON. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../models.node.ts";
import { outputOf } from "../../programOutput.node.ts";
import { NextxError } from "../../tensor/errors.ts";

/** Whether the device is a graphics card, which is "cuda" to PyTorch. */
export const onGpu = (device: string): boolean => device === "webgpu" || device === "cuda";

/** What a script of bench/ prints. @throws NextxError BENCH_NO_REFERENCE, BENCH_REFERENCE_FAILED */
export async function reference(python: string, script: string, args: readonly string[]): Promise<unknown> {
  const path = join(packageRoot(), "bench", script);
  if (!existsSync(path))
    throw new NextxError("BENCH_NO_REFERENCE", `${path} is missing: it is in the repository only.`, { path });
  return JSON.parse(await outputOf(python, [path, ...args], script));
}

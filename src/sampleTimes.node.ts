/** How long a model takes for pictures and how much memory a process needs for them. */
import { join } from "node:path";
import { z } from "zod";
import { median } from "./evaluate/bench/engine.ts";
import { peakMemoryBytes } from "./evaluate/bench/memory.node.ts";
import { type Model, openModel } from "./model.ts";
import { findModel, packageRoot } from "./models.node.ts";
import { outputOf } from "./programOutput.node.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

const countSchema = z.object({ pictures: z.number(), medianMs: z.number(), timesMs: z.array(z.number()) });

/** What one process measured. */
export const sampleTimesSchema = z.object({
  loadMs: z.number(),
  /** With programs built, from the request to the first preview of one picture. */
  firstPreviewMs: z.number(),
  /** From the request to the last picture of one, programs to be built. */
  firstPictureMs: z.number(),
  /** One picture, and eight where their memory is there. */
  counts: z.array(countSchema),
  /** After one picture, and after eight. */
  peakOneBytes: z.number(),
  peakBytes: z.number(),
});
export type SampleTimes = z.infer<typeof sampleTimesSchema>;

async function drawMs(model: Model, options: Record<string, unknown>, stopAtFirst = false): Promise<number> {
  const start = performance.now();
  for await (const _ of model.sample(options)) if (stopAtFirst) break;
  return performance.now() - start;
}

async function timed(model: Model, pictures: number, runs: number, settings: Record<string, unknown>) {
  const timesMs: number[] = [];
  for (let seed = 1; seed <= runs; seed++)
    timesMs.push(await drawMs(model, { ...settings, seed, count: pictures }));
  return { pictures, medianMs: median(timesMs), timesMs };
}

/** Measures in this process, which is what the peak memory belongs to. @throws NextxError of models and sampling */
export async function measureSampling(
  name: string,
  device: Device,
  runs: number,
  settings: Record<string, unknown> = {},
): Promise<SampleTimes> {
  const start = performance.now();
  using model = await openModel(await findModel(name), device);
  const loadMs = performance.now() - start;
  const firstPictureMs = await drawMs(model, { ...settings, seed: 0, count: 1 });
  const one = await timed(model, 1, runs, settings);
  const firstPreviewMs = await drawMs(model, { ...settings, seed: 0, count: 1, previews: true }, true);
  const peakOneBytes = peakMemoryBytes();
  const eight = await timed(model, 8, Math.max(1, Math.ceil(runs / 2)), settings).catch(unlessTooLarge);
  const peakBytes = peakMemoryBytes();
  const counts = [one, ...(eight ? [eight] : [])];
  return { loadMs, firstPreviewMs, firstPictureMs, counts, peakOneBytes, peakBytes };
}

function unlessTooLarge(error: unknown): undefined {
  if (!(error instanceof NextxError && error.code === "RUNTIME_OUT_OF_MEMORY")) throw error;
}

export interface ApartOptions {
  readonly device: string;
  readonly threads: number;
  readonly runs: number;
  /** Sampling settings, as JSON. */
  readonly settings?: string;
}

/** The same in a process of its own. @throws NextxError BENCH_REFERENCE_FAILED */
export async function measureSamplingApart(
  path: string,
  { device, threads, runs, settings }: ApartOptions,
): Promise<SampleTimes> {
  const args = ["--device", device, "--threads", String(threads), "--steps", String(runs), "--json"];
  if (settings !== undefined) args.push("--settings", settings);
  const bin = join(packageRoot(), "bin", "nextx.js");
  const out = await outputOf(process.execPath, [bin, "bench", "sample-once", path, ...args], path);
  return sampleTimesSchema.parse(JSON.parse(out)); // our own command
}

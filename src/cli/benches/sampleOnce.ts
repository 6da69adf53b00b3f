/** `nextx bench sample-once MODEL`: one model in this process, which is what its peak memory belongs to. */
import { z } from "zod";
import { median } from "../../evaluate/bench/engine.ts";
import { peakMemoryBytes } from "../../evaluate/bench/memory.node.ts";
import { type Model, openModel } from "../../model.ts";
import { findModel } from "../../models.node.ts";
import { openDevice } from "../../runtime/device.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Bench } from "./types.ts";

const countSchema = z.object({ pictures: z.number(), medianMs: z.number(), timesMs: z.array(z.number()) });

/** What one process measured. */
export const sampleTimesSchema = z.object({
  loadMs: z.number(),
  /** With programs built, from the request to the first preview of one picture. */
  firstPreviewMs: z.number(),
  /** From the request to the last picture of one, programs to be built. */
  firstPictureMs: z.number(),
  counts: z.array(countSchema),
  /** After one picture, and after eight. */
  peakOneBytes: z.number(),
  peakBytes: z.number(),
});
export type SampleTimes = z.infer<typeof sampleTimesSchema>;

/** The settings of the flag. @throws NextxError CLI_BAD_SETTINGS */
export function parseSettings(text = "{}"): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (cause) {
    throw new NextxError("CLI_BAD_SETTINGS", `Settings are a JSON object, got ${text}.`, {
      path: "settings",
      cause,
    });
  }
}

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

export const sampleOnceBench: Bench = async (flags) => {
  const { model: name = "var", steps: runs = 5 } = flags;
  const settings = parseSettings(flags.settings);
  const device = await openDevice(flags);
  const start = performance.now();
  using model = await openModel(await findModel(name), device);
  const loadMs = performance.now() - start;
  const firstPictureMs = await drawMs(model, { ...settings, seed: 0, count: 1 });
  const one = await timed(model, 1, runs, settings);
  const firstPreviewMs = await drawMs(model, { ...settings, seed: 0, count: 1, previews: true }, true);
  const peakOneBytes = peakMemoryBytes();
  const eight = await timed(model, 8, Math.max(1, Math.ceil(runs / 2)), settings);
  const peakBytes = peakMemoryBytes();
  const times: SampleTimes = {
    loadMs,
    firstPreviewMs,
    firstPictureMs,
    counts: [one, eight],
    peakOneBytes,
    peakBytes,
  };
  return { device, numbers: { model: name, ...times }, lines: timeLines(times) };
};

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/** For people. */
export function timeLines({
  loadMs,
  firstPreviewMs,
  firstPictureMs,
  counts,
  peakOneBytes,
  peakBytes,
}: SampleTimes): string[] {
  const [one, eight] = counts;
  const [oneMs, eightMs] = [one?.medianMs ?? 0, eight?.medianMs ?? 0];
  return [
    `1 picture ${oneMs.toFixed(0)} ms, 8 pictures ${eightMs.toFixed(0)} ms: ${(eightMs / oneMs).toFixed(2)} times one`,
    `first preview after ${firstPreviewMs.toFixed(0)} ms; read in ${loadMs.toFixed(0)} ms, first picture ${firstPictureMs.toFixed(0)} ms later`,
    `peak memory ${megabytes(peakOneBytes)} after one picture, ${megabytes(peakBytes)} after eight`,
  ];
}

/** `nextx bench growth-once MODEL`: some pictures together and the decoder alone, in this process, which has the peak memory. */
import { median } from "../../evaluate/bench/engine.ts";
import { peakMemoryBytes } from "../../evaluate/bench/memory.node.ts";
import { openModel, systemOf } from "../../model.ts";
import type { FoundModel } from "../../modelCard.ts";
import { findModel } from "../../models.node.ts";
import { openDevice } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { elementCount, floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { usualModel } from "./benchModel.ts";
import { benchSettings } from "./settings.ts";
import type { Bench } from "./types.ts";

async function timed(runs: number, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  return median(times);
}

/** The decoder on zeros of so many pictures; its program is built before. @throws NextxError BENCH_NO_DECODER */
async function decoderMs(
  { description, weights }: FoundModel,
  device: Device,
  pictures: number,
  runs: number,
): Promise<number> {
  using model = await systemOf(description.system).open(description, weights, device);
  const graph = model.graphs.decode?.();
  if (graph === undefined)
    throw new NextxError("BENCH_NO_DECODER", "The system has no decoder of its own.", { path: "model" });
  using program = await compile(graph, { device, weights });
  const zeros = Object.entries(graph.inputs).map(([name, { shape }]): [string, Value] => {
    const sides = shape.map((dim) => (typeof dim === "number" ? dim : pictures)); // the batch is the only symbol
    return [name, floats(new Float32Array(elementCount(sides)), sides)];
  });
  const feeds = Object.fromEntries(zeros);
  await program.run(feeds);
  return await timed(runs, () => program.run(feeds));
}

export const growthOnceBench: Bench = async (flags) => {
  const { model: name = usualModel, pictures = 1, steps: runs = 3, signal } = flags;
  const settings = await benchSettings({ ...flags, model: name });
  const device = await openDevice(flags);
  const found = await findModel(name);
  const draw = async () => {
    for await (const _ of model.sample({ ...settings, seed: 0, count: pictures, ...(signal && { signal }) }));
  };
  using model = await openModel(found, device);
  await draw(); // builds the programs
  const ms = await timed(runs, draw);
  const peakBytes = peakMemoryBytes(); // without the second decoder
  const decoder = await decoderMs(found, device, pictures, runs);
  return {
    device,
    numbers: { model: name, pictures, ms, decoderMs: decoder, peakBytes },
    lines: [
      `${pictures} pictures in ${ms.toFixed(0)} ms, the decoder alone ${decoder.toFixed(0)} ms; peak memory ${(peakBytes / 2 ** 20).toFixed(0)} MiB`,
    ],
  };
};

/** `nextx bench load`: reading a model that the system has in memory, and building its programs, weights packed or not. */
import { throwIfAborted } from "../../decoding/loop.ts";
import { median } from "../../evaluate/bench/engine.ts";
import { systemOf } from "../../model.ts";
import { findModel } from "../../models.node.ts";
import { openDevice } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { compile, weightBytes } from "../../runtime/program.ts";
import { elementCount } from "../../runtime/values.ts";
import { benchModel, workFolder } from "./benchModel.ts";
import type { Bench } from "./types.ts";

interface BuildTime {
  readonly graph: string;
  readonly weightBytes: number;
  readonly packedMs: number;
  readonly unpackedMs: number;
}

type Found = Awaited<ReturnType<typeof findModel>>;

async function buildTimes(
  { description, weights }: Found,
  device: Device,
  runs: number,
  signal: AbortSignal | undefined,
): Promise<BuildTime[]> {
  using model = await systemOf(description.system).open(description, weights, device);
  const times: BuildTime[] = [];
  for (const [graph, make] of Object.entries(model.graphs)) {
    const packed: number[] = [];
    const unpacked: number[] = [];
    for (let run = 0; run < runs; run++) {
      for (const prepack of [true, false]) {
        throwIfAborted(signal);
        const start = performance.now();
        using _ = await compile(make(), { device, weights, prepack });
        (prepack ? packed : unpacked).push(performance.now() - start);
      }
    }
    const bytes = weightBytes(make());
    times.push({ graph, weightBytes: bytes, packedMs: median(packed), unpackedMs: median(unpacked) });
  }
  return times;
}

export const loadBench: Bench = async (flags) => {
  using folder = workFolder();
  const name = await benchModel(flags, folder.path);
  const { steps: runs = 5 } = flags;
  const device = await openDevice(flags);
  let found = await findModel(name); // warm from here on
  const reads: number[] = [];
  for (let run = 0; run < runs; run++) {
    throwIfAborted(flags.signal);
    const start = performance.now();
    found = await findModel(name);
    reads.push(performance.now() - start);
  }
  const readMs = median(reads);
  const bytes = [...found.weights.values()].reduce((total, { shape }) => total + 4 * elementCount(shape), 0);
  const builds = await buildTimes(found, device, runs, flags.signal);
  const perGb = (ms: number, size: number) => `${(ms / 1000 / (size / 1e9)).toFixed(2)} s per GB`;
  return {
    device,
    numbers: { model: flags.official ?? name, weightBytes: bytes, readMs, builds },
    lines: [
      `read and checked ${(bytes / 1e6).toFixed(1)} MB of float32 in ${readMs.toFixed(0)} ms (${perGb(readMs, bytes)})`,
      ...builds.map(
        ({ graph, weightBytes: size, packedMs, unpackedMs }) =>
          `${graph}: ${(size / 1e6).toFixed(1)} MB, built in ${packedMs.toFixed(0)} ms packed (${perGb(packedMs, size)}), ${unpackedMs.toFixed(0)} ms not packed (${perGb(unpackedMs, size)}): ratio ${(packedMs / unpackedMs).toFixed(2)}`,
      ),
    ],
  };
};

/** Timing, of samplers side by side: the runtime's own time and the wall, medians over repeats, the first run left out. */
import { median } from "../evaluate/bench/engine.ts";
import type { Arm } from "../evaluate/claim/arms.node.ts";
import type { Device } from "../runtime/device.ts";
import { RandomStream } from "../tensor/random.ts";

/** A device that adds up how long its sessions run, and counts how often. */
export function timed(device: Device) {
  let [ms, runs] = [0, 0];
  const measured: Device = {
    ...device,
    createSession: async (model, options) => {
      const session = await device.createSession(model, options);
      return {
        run: async (feeds, outputs) => {
          const start = performance.now();
          const out = await session.run(feeds, outputs);
          ms += performance.now() - start;
          runs++;
          return out;
        },
        [Symbol.dispose]: () => session[Symbol.dispose](),
      };
    },
  };
  const take = () => {
    const taken = ms;
    ms = 0;
    return taken;
  };
  return { device: measured, take, runs: () => runs };
}

/** Generates tokens for some labels, and says in how many passes. */
export type Generate = (
  labels: Int32Array,
  streams: readonly RandomStream[],
  signal?: AbortSignal,
) => Promise<number>;

export async function countResults(results: AsyncIterable<unknown>): Promise<number> {
  let passes = 0;
  for await (const _ of results) passes++;
  return passes;
}

export interface Timing {
  readonly images: number;
  readonly repeats: number;
  readonly numClasses: number;
  readonly signal?: AbortSignal;
}

/** Medians of the runtime's own time and of the wall, and how far apart repeats lay (largest over smallest). */
export async function measureTime(
  generate: Generate,
  take: () => number,
  { images, repeats, numClasses, signal }: Timing,
) {
  const labels = Int32Array.from({ length: images }, (_, i) => i % numClasses);
  const [own, wall]: [number[], number[]] = [[], []];
  for (let round = -1; round < repeats; round++) {
    const streams = Array.from(labels, (_, i) => RandomStream.from(round + 1, `speed/${i}`));
    take();
    const start = performance.now();
    await generate(labels, streams, signal);
    if (round < 0) continue; // the first compiles
    wall.push(performance.now() - start);
    own.push(take());
  }
  return { ms: median(own), wallMs: median(wall), spread: Math.max(...own) / Math.min(...own) };
}

/** One side of a contest, over random weights: neither time nor work depends on them. Dispose when done. */
export interface Contender extends Disposable {
  readonly generate: Generate;
  /** Exact numbers of one image: multiply-adds, bytes of the cache. */
  readonly counted: Readonly<Record<string, number>>;
}

export interface ContestOptions {
  readonly name: string;
  /** What decides the numbers besides the code. */
  readonly definition: Readonly<Record<string, unknown>>;
  /** Images at once. */
  readonly batches: readonly number[];
  readonly repeats: number;
  readonly numClasses: number;
  /** Sides by name. */
  open(device: Device): Readonly<Record<string, () => Contender>>;
}

/**
 * Numbers of every side under its name: `X:passes`, what it counts, and lists over batches `X:ms`, `X:wallMs`, `X:spread`.
 * To be run on a quiet machine.
 */
export function contestArm(
  options: ContestOptions,
  device: Device,
  onProgress?: (text: string) => void,
): Arm {
  const { name, definition, batches, repeats, numClasses, open } = options;
  const counted = async (contenders: ReturnType<typeof open>) => {
    const numbers: Record<string, number> = {};
    for (const [side, make] of Object.entries(contenders)) {
      using contender = make();
      const streams = [RandomStream.from(1, "speed")];
      numbers[`${side}:passes`] = await contender.generate(Int32Array.of(0), streams);
      for (const [key, value] of Object.entries(contender.counted)) numbers[`${side}:${key}`] = value;
    }
    return numbers;
  };
  return {
    name,
    definition: { ...definition, batches, repeats, numClasses, weights: "random", version: 1 },
    run: async ({ signal }) => {
      const numbers: Record<string, number | number[]> = await counted(open(device));
      const clock = timed(device);
      for (const [side, make] of Object.entries(open(clock.device))) {
        using contender = make();
        const rows: Awaited<ReturnType<typeof measureTime>>[] = [];
        for (const images of batches) {
          onProgress?.(`${name}, ${side}, ${images} images`);
          const timing = { images, repeats, numClasses, ...(signal && { signal }) };
          rows.push(await measureTime(contender.generate, clock.take, timing));
        }
        numbers[`${side}:ms`] = rows.map(({ ms }) => ms);
        numbers[`${side}:wallMs`] = rows.map(({ wallMs }) => wallMs);
        numbers[`${side}:spread`] = rows.map(({ spread }) => spread);
      }
      return { numbers };
    },
    recompute: async () => ({ numbers: await counted(open(device)), tolerance: 0 }),
  };
}

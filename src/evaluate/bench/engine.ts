/** What the engine takes for its reference steps, and what the runtime's own products reach on this machine. */
import { parameterCount } from "../../nn/scope.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { Trainer, type TrainingTask } from "../../regimen/trainer.ts";
import { runMultiplyAdds } from "../../runtime/cost.ts";
import type { Device } from "../../runtime/device.ts";
import { compile, type Program } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { matmul } from "../../tensor/ops/linear.ts";
import { gelu } from "../../tensor/ops/neural.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32 } from "../../tensor/tensor.ts";
import { convStep, transformerStep } from "./steps.ts";

export interface StepTime {
  readonly name: string;
  readonly parameters: number;
  /** Of products and convolutions, forward and backward. */
  readonly multiplyAdds: number;
  /** Tracing, differentiating, lowering, and the session. */
  readonly buildMs: number;
  /** Median of a step with data, gradients, clipping and AdamW. */
  readonly stepMs: number;
  readonly steps: number;
}

export interface EngineTimes {
  readonly runtime: string;
  readonly threads: number;
  /** 1024^3 float32 product, weights as input: 10^9 multiply-adds count as 2 GFLOP. */
  readonly matmulGflops: number;
  /** Median of a program used alone, and in turn with three others. */
  readonly sessions: { readonly aloneMs: number; readonly inTurnMs: number };
  readonly steps: readonly StepTime[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = 0, high = 0] = [sorted[middle - (sorted.length % 2 === 0 ? 1 : 0)], sorted[middle]];
  return (low + high) / 2;
}

/** Median of repeated runs in milliseconds; the first is left out. */
export async function medianMs(run: () => Promise<unknown>, repeats: number): Promise<number> {
  await run();
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return median(times);
}

async function timeStep(
  name: string,
  make: () => TrainingTask,
  device: Device,
  count: number,
): Promise<StepTime> {
  const startMs = performance.now();
  const task = make();
  const schedule = { name: "constant", peak: 3e-4, steps: 1, warmup: 0, end: 1 } as const;
  const options = { schedule, optimizer: defaultAdamW, accumulate: 1, emaDecay: 0 };
  using trainer = await Trainer.create(task, options, device, RandomStream.from(0, "bench"));
  const buildMs = performance.now() - startMs;
  const times: number[] = [];
  for (let i = 0; i < count + 3; i++) {
    const before = performance.now();
    await trainer.advance();
    if (i >= 3) times.push(performance.now() - before); // first steps touch fresh memory
  }
  const batch = await task.nextBatch({ step: 0, weights: trainer.weights, device });
  const multiplyAdds = runMultiplyAdds(task.graph, batch);
  const parameters = parameterCount(task.parameters);
  return { name, parameters, multiplyAdds, buildMs, stepMs: median(times), steps: count };
}

async function matmulRate(device: Device): Promise<number> {
  const side = 1024;
  const graph = trace({ a: float32(side, side), b: float32(side, side) }, ({ a, b }) => ({
    c: matmul(a, b),
  }));
  using program = await compile(graph, { device });
  const stream = RandomStream.from(0, "bench/matmul");
  const draw = () => floats(stream.normals(side * side, 1), [side, side]);
  const [a, b] = [draw(), draw()];
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    const before = performance.now();
    await program.run({ a, b });
    times.push(performance.now() - before);
  }
  return (2 * side ** 3) / median(times.slice(2)) / 1e6;
}

/** Four programs of one product each: the first alone, then all in turn. Threads that spin would make the turns dear. */
async function sessionTimes(device: Device): Promise<EngineTimes["sessions"]> {
  const side = 512;
  const programs: Program<"x", "y">[] = [];
  try {
    for (let i = 0; i < 4; i++) {
      const graph = trace({ x: float32(side, side) }, ({ x }) => ({ y: gelu(matmul(x, x)) }));
      programs.push(await compile(graph, { device }));
    }
    const x = floats(RandomStream.from(0, "bench/sessions").normals(side * side, 1), [side, side]);
    const [first] = programs as [Program<"x", "y">]; // four were made
    const timeFirst = async (round: readonly Program<"x", "y">[]) => {
      const times: number[] = [];
      for (let i = 0; i < 40; i++) {
        for (const program of round) {
          const before = performance.now();
          await program.run({ x });
          if (program === first) times.push(performance.now() - before);
        }
      }
      return median(times.slice(5));
    };
    return { aloneMs: await timeFirst([first]), inTurnMs: await timeFirst(programs) };
  } finally {
    for (const program of programs) program[Symbol.dispose]();
  }
}

/** Measures everything; a few dozen seconds on two cores. */
export async function measureEngine(device: Device, steps = 15): Promise<EngineTimes> {
  const matmulGflops = await matmulRate(device);
  const sessions = await sessionTimes(device);
  const transformer = await timeStep("transformer", transformerStep, device, steps);
  const conv = await timeStep("conv autoencoder", convStep, device, steps);
  return {
    runtime: device.runtime,
    threads: device.threads,
    matmulGflops,
    sessions,
    steps: [transformer, conv],
  };
}

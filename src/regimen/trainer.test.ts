import { beforeAll, describe, expect, it } from "vitest";
import { filled, Scope, type Weights } from "../nn/scope.ts";
import { openCpu } from "../runtime/device.node.ts";
import type { Device } from "../runtime/device.ts";
import { floats } from "../runtime/values.ts";
import { symbol } from "../tensor/dims.ts";
import { mul, square, sub } from "../tensor/ops/elementwise.ts";
import { linear } from "../tensor/ops/linear.ts";
import { mean } from "../tensor/ops/neural.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32 } from "../tensor/tensor.ts";
import { AdamW, defaultAdamW } from "./adamw.ts";
import { trainingGraph } from "./objective.ts";
import { learningRate } from "./schedule.ts";
import { type Json, Trainer, type TrainerOptions, type TrainingTask } from "./trainer.ts";

let device: Device;
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
});

/** Learns y = 2 x0 - x1 from batches of a stream; `poison` makes the batch of that step infinite. */
function task(batchSize: number, poison = -1): TrainingTask {
  const scope = Scope.root("m.");
  const B = symbol("B");
  const graph = trainingGraph({ x: float32(B, 2), y: float32(B, 1) }, scope, ({ x, y }) => {
    const weight = scope.param("weight", [1, 2], filled(0.1));
    if (x === undefined || y === undefined) throw new Error("declared above");
    const error = square(sub(linear(x, weight), y));
    return { loss: mean(error), metrics: { doubled: mul(mean(error), 2) } };
  });
  let stream = RandomStream.from(4, "data");
  let calls = 0;
  return {
    graph,
    parameters: scope.specs,
    frozen: new Map(),
    async nextBatch() {
      const x = stream.normals(batchSize * 2, 1);
      if (++calls === poison) x[0] = Number.POSITIVE_INFINITY;
      const y = Float32Array.from(
        { length: batchSize },
        (_, i) => 2 * (x[2 * i] as number) - (x[2 * i + 1] as number),
      );
      return { x: floats(x, [batchSize, 2]), y: floats(y, [batchSize, 1]) };
    },
    saveState: () => stream.state as unknown as Json,
    restoreState(state) {
      stream = RandomStream.restore(state as never);
    },
  };
}

const options = (over: Partial<TrainerOptions> = {}): TrainerOptions => ({
  schedule: { name: "constant", peak: 0.05, steps: 100, warmup: 0, end: 1 },
  optimizer: { ...defaultAdamW, weightDecay: 0 },
  accumulate: 1,
  emaDecay: 0.9,
  ...over,
});

const start = (of: TrainingTask, over: Partial<TrainerOptions> = {}) =>
  Trainer.create(of, options(over), device, RandomStream.from(1, "init"));

const weightsOf = (trainer: Trainer) => [...(trainer.weights.get("m.weight")?.data ?? [])];

describe("a trainer", () => {
  it("learns, reports metrics, and its average follows", async () => {
    using trainer = await start(task(16));
    const first = await trainer.advance();
    expect(first.metrics.doubled).toBeCloseTo(2 * first.loss, 5);
    for (let i = 0; i < 150; i++) await trainer.advance();
    const [a = 0, b = 0] = weightsOf(trainer);
    expect([a, b].map((value) => Math.round(value * 10) / 10)).toEqual([2, -1]);
    expect(trainer.best.get("m.weight")?.data[0]).toBeCloseTo(2, 1);
  });

  it("begins its average at the weights that the task takes over", async () => {
    const prepare = async (weights: Weights) => void weights.get("m.weight")?.data.set([2, -1]);
    using trainer = await start({ ...task(4), prepare }, { emaDecay: 0.999 });
    expect([...(trainer.best.get("m.weight")?.data ?? [])]).toEqual([2, -1]);
    await trainer.advance();
    const [a = 0, b = 0] = trainer.best.get("m.weight")?.data ?? [];
    expect([Math.abs(a - 2) < 0.1, Math.abs(b + 1) < 0.1]).toEqual([true, true]);
  });

  it("continues a snapshot to the same bits", async () => {
    using whole = await start(task(4));
    for (let i = 0; i < 12; i++) await whole.advance();
    using before = await start(task(4));
    for (let i = 0; i < 5; i++) await before.advance();
    const snapshot = before.snapshot();
    await before.advance(); // must not reach into the snapshot
    using after = await Trainer.create(task(4), options(), device, snapshot);
    for (let i = 5; i < 12; i++) await after.advance();
    expect(weightsOf(after)).toEqual(weightsOf(whole));
    expect(after.average).toEqual(whole.average);
    expect(after.snapshot().moments).toEqual(whole.snapshot().moments);
  });

  it("frees its program and task when it cannot begin", async () => {
    const freed: string[] = [];
    const counting: Device = {
      ...device,
      createSession: async (model, options) => {
        const session = await device.createSession(model, options);
        return {
          run: (feeds, outputs) => session.run(feeds, outputs),
          [Symbol.dispose]: () => {
            freed.push("program");
            session[Symbol.dispose]();
          },
        };
      },
    };
    const failing: TrainingTask = {
      ...task(4),
      prepare: () => Promise.reject(new Error("no memory")),
      dispose: () => freed.push("task"),
    };
    await expect(Trainer.create(failing, options(), counting, RandomStream.from(1, "init"))).rejects.toThrow(
      "no memory",
    );
    expect(freed).toEqual(["program", "task"]);
  });

  it("accumulates micro-batches to the gradient of the whole batch", async () => {
    using whole = await start(task(8));
    using parts = await start(task(2), { accumulate: 4 }); // the same stream in four parts
    const [a, b] = [await whole.advance(), await parts.advance()];
    expect(b.gradientNorm).toBeCloseTo(a.gradientNorm, 5);
    expect(b.loss).toBeCloseTo(a.loss, 5);
  });

  it("names the step that is not finite and leaves the weights as they were", async () => {
    using trainer = await start(task(4, 3));
    await trainer.advance();
    await trainer.advance();
    const before = weightsOf(trainer);
    await expect(trainer.advance()).rejects.toMatchObject({
      code: "TRAIN_NOT_FINITE",
      message: expect.stringContaining("Step 3"),
    });
    expect(weightsOf(trainer)).toEqual(before);
    expect(trainer.step).toBe(2);
  });
});

describe("AdamW", () => {
  it("follows its definition, with decoupled decay and clipping", () => {
    const weights = new Map([
      ["w", floats([1, -2], [1, 2])],
      ["b", floats([3], [1])],
    ]);
    const optimizer = new AdamW({
      ...defaultAdamW,
      beta1: 0.9,
      beta2: 0.95,
      weightDecay: 0.1,
      clipNorm: 1,
    });
    const expected = { w: [1, -2], b: [3] };
    const moments = { w: [0, 0, 0, 0], b: [0, 0] };
    for (const [step, gradients] of [
      [3, 4, 12],
      [0.1, 0, -0.2],
    ].entries()) {
      const norm = Math.hypot(...gradients);
      const scale = norm > 1 ? 1 / (norm + 1e-6) : 1;
      const got = optimizer.update(
        weights,
        new Map([
          ["w", Float32Array.from(gradients.slice(0, 2))],
          ["b", Float32Array.from(gradients.slice(2))],
        ]),
        0.01,
      );
      expect(got).toBeCloseTo(norm, 5);
      for (const [name, offset] of [["w", 0] as const, ["b", 2] as const]) {
        for (let i = 0; i < expected[name].length; i++) {
          const g = (gradients[offset + i] as number) * scale;
          const m = 0.9 * (moments[name][2 * i] as number) + 0.1 * g;
          const v = 0.95 * (moments[name][2 * i + 1] as number) + 0.05 * g * g;
          moments[name].splice(2 * i, 2, m, v);
          const update = m / (1 - 0.9 ** (step + 1)) / (Math.sqrt(v / (1 - 0.95 ** (step + 1))) + 1e-8);
          const decayed = (expected[name][i] as number) * (name === "w" ? 1 - 0.01 * 0.1 : 1); // vectors do not decay
          expected[name][i] = decayed - 0.01 * update;
        }
      }
    }
    for (const name of ["w", "b"] as const)
      weights.get(name)?.data.forEach((value, i) => {
        expect(value).toBeCloseTo(expected[name][i] as number, 5);
      });
  });
});

describe("schedules", () => {
  const lin0 = { name: "lin0", peak: 1, steps: 101, warmup: 1, end: 0.1 } as const;
  it("lin0 warms up, holds, and falls to its end", () => {
    expect(learningRate(0, lin0)).toBeCloseTo(0.005, 6);
    expect(learningRate(3, lin0)).toBe(1); // progress 2 / 99 < 0.05
    expect(learningRate(100, lin0)).toBeCloseTo(0.1, 6);
    const half = (51 - 1) / 99;
    expect(learningRate(51, lin0)).toBeCloseTo(0.1 + (0.9 * (1 - half)) / 0.95, 6);
  });

  it("cosine and constant end where they say", () => {
    expect(learningRate(100, { ...lin0, name: "cosine" })).toBeCloseTo(0.1, 6);
    expect(learningRate(100, { ...lin0, name: "constant" })).toBe(1);
    const halving = { ...lin0, name: "halving", warmup: 0, period: 10 } as const;
    expect([0, 10, 19, 20, 30].map((step) => learningRate(step, halving))).toEqual([1, 1, 1, 0.5, 0.25]);
    expect(() => learningRate(0, { ...lin0, steps: 0 })).toThrow(/at least one step/);
  });
});

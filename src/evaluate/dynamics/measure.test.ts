/** Dynamics where the answer is known: a model that copies, and tiny models of every scale-wise system. */
import { beforeAll, describe, expect, it } from "vitest";
import { createSynth } from "../../data/synth/synth.ts";
import type { Split } from "../../data/types.ts";
import { initialise, type Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { ScaleWiseModel } from "../../regimen/scaleWise.ts";
import type { ScaleWiseSubject } from "../../regimen/scaleWiseSubject.ts";
import type { Stage } from "../../regimen/system.ts";
import type { TokenCache, TokenSet, TokenSplits } from "../../regimen/tokenSet.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { imageSystems } from "../../systems/registry.ts";
import type { Dim } from "../../tensor/dims.ts";
import { mul } from "../../tensor/ops/elementwise.ts";
import { oneHot } from "../../tensor/ops/gather.ts";
import { concat, reshape, slice } from "../../tensor/ops/structure.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32 } from "../../tensor/tensor.ts";
import { type Dynamics, measureDynamics } from "./measure.ts";

let device: Device;
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
});

/** Three scales of 1, 4 and 9 tokens over four codes. The first follows the label, every other token the first one. */
const plan = scalePlan([1, 2, 3]);
const codes = 4;

function copier(certainty: number): ScaleWiseSubject {
  const model: ScaleWiseModel = {
    vocabSize: codes,
    depth: 1,
    condDropRate: 0,
    dropPathRate: 0,
    conditioner: { numClasses: codes, nullLabel: codes },
    whole: {
      specs: {},
      length: plan.length,
      logits: (labels, past) => {
        const leader = slice(past, 1, 0, 1); // (B, 1)
        const source = concat(
          [reshape(labels, [labels.shape[0] as Dim, 1]), ...Array(plan.length - 1).fill(leader)],
          1,
        );
        return mul(oneHot(source, codes), certainty);
      },
      values: () => ({}),
    },
    prefix: (whole) => whole,
  };
  const graph = trace({ x: float32("B") }, ({ x }) => ({ x })); // tokens are given
  return { model, tokenizer: { graph, values: {}, weights: new Map(), plan, pictureShape: [] } };
}

/** Pictures whose tokens all equal their label. */
function obedient(count: number): TokenSet {
  const labels = Int32Array.from({ length: count }, (_, i) => i % codes);
  const ids = Uint16Array.from(
    { length: count * plan.length },
    (_, i) => Math.floor(i / plan.length) % codes,
  );
  return { plan, ids, labels };
}

const lossOf = (certainty: number) => Math.log(1 + (codes - 1) * Math.exp(-certainty));
const zeros = [0, 0, 0];
const ones = [1, 1, 1];

describe("a model that copies", () => {
  it("so surely that its own past is the truth: divergence 0, agreement 1, no gap", async () => {
    const certainty = 60;
    const found = await measureDynamics(copier(certainty), obedient(6), { device, seed: 3, corruptRate: 0 });
    for (const past of [found.truePast, found.oneStep, found.freeRunning, ...found.corrupted]) {
      expect(past.divergence.scales).toEqual(zeros);
      expect(past.agreement.scales).toEqual(ones);
      expect(past.accuracy.scales).toEqual(ones);
      expect(past.loss).toEqual(found.truePast.loss);
    }
  });

  it("has the loss, bits and shares that its certainty says", async () => {
    const found = await measureDynamics(copier(2), obedient(8), { device, seed: 3, corruptRate: 0 });
    for (const loss of found.truePast.loss.scales) expect(loss).toBeCloseTo(lossOf(2), 5);
    expect(found.truePast.loss.overall).toBeCloseTo(lossOf(2), 5);
    const bits = lossOf(2) / Math.LN2;
    expect(found.difficulty.totalBits).toBeCloseTo(14 * bits, 4);
    found.difficulty.bits.forEach((value, s) => {
      expect(value).toBeCloseTo(([1, 4, 9][s] as number) * bits, 4);
    });
    found.difficulty.share.forEach((value, s) => {
      expect(value).toBeCloseTo(found.difficulty.tokenShare[s] as number, 5);
    });
  });

  it("is led astray by a wrong first token at every later scale, and by no other", async () => {
    const certainty = 3;
    const found = await measureDynamics(copier(certainty), obedient(400), {
      device,
      seed: 5,
      corruptRate: 1,
    });
    const [first, second, third] = found.corrupted;
    expect([second, third].map((past) => past?.divergence.scales)).toEqual([zeros, zeros]);
    const stayed = first?.accuracy.scales[1] as number; // a drawn code is the true one in a quarter of the cases
    expect(Math.abs(stayed - 1 / codes)).toBeLessThan(0.07);
    expect(first?.accuracy.scales).toEqual([1, stayed, stayed]);
    expect(first?.agreement.scales).toEqual([1, stayed, stayed]);
    // Where the code is wrong: log p(truth) falls by the certainty, and KL is (p - q) * certainty.
    const p = Math.exp(-lossOf(certainty));
    const q = (1 - p) / (codes - 1);
    expect(first?.loss.scales[2]).toBeCloseTo(lossOf(certainty) + (1 - stayed) * certainty, 4);
    expect(first?.divergence.scales[2]).toBeCloseTo((1 - stayed) * (p - q) * certainty, 4);
    expect(first?.divergence.scales[0]).toBe(0);
  });

  it("errs in its own past as often as it is unsure, and the rest follows", async () => {
    const certainty = 2;
    const found = await measureDynamics(copier(certainty), obedient(400), {
      device,
      seed: 5,
      corruptRate: 0,
    });
    const right = found.freeRunning.accuracy.scales[1] as number;
    expect(Math.abs(right - Math.exp(-lossOf(certainty)))).toBeLessThan(0.07);
    expect(found.freeRunning.accuracy.scales).toEqual([1, right, right]);
    const standardError = found.freeRunning.accuracy.standardErrors[1] as number;
    expect(standardError).toBeCloseTo(Math.sqrt((right * (1 - right)) / 399), 6);
    expect(found.freeRunning.loss.scales[2]).toBeCloseTo(lossOf(certainty) + (1 - right) * certainty, 4);
  });

  it("gives the same for a seed, other draws for another, and no picture depends on the others", async () => {
    const measured = (count: number, seed: number) =>
      measureDynamics(copier(1), obedient(count), { device, seed, corruptRate: 0.5 });
    const [a, b, c] = [await measured(40, 1), await measured(40, 1), await measured(40, 2)];
    expect(b).toEqual(a);
    expect(c.truePast).toEqual(a.truePast);
    expect(c.freeRunning).not.toEqual(a.freeRunning);
    expect(c.corrupted[0]).not.toEqual(a.corrupted[0]);
    const sum = ({ count, freeRunning }: Dynamics) => count * (freeRunning.accuracy.scales[1] as number);
    const growth = sum(await measured(41, 1)) - sum(a); // one picture more adds 0 or 1
    expect(Math.min(Math.abs(growth), Math.abs(growth - 1))).toBeLessThan(1e-9);
  });

  it("stops when told to", async () => {
    const options = { device, seed: 1, corruptRate: 0.1, signal: AbortSignal.abort() };
    await expect(measureDynamics(copier(1), obedient(1), options)).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe.each([...imageSystems.values()].filter(({ scaleWise }) => scaleWise))("$id", (system) => {
  const recipe = system.recipes.smoke?.recipe;
  const set = (split: Split) => createSynth({ size: 32, split, length: 64 });
  const description = system.describe(recipe, set("train"));
  let weights: Weights;
  let tokens: TokenSet;
  let reported: Readonly<Record<string, unknown>>;
  let found: Dynamics;
  beforeAll(async () => {
    // Official first gates are tiny; loud ones make every path matter.
    const drawn = initialise(system.parameters(description), RandomStream.from(1, "test"));
    weights = new Map(
      [...drawn].map(([name, { data, shape }]) => [
        name,
        floats(RandomStream.from(2, name).normals(data.length, 0.3), shape),
      ]),
    );
    const cache: TokenCache = new Map();
    const stage = system.stages(recipe)[1] as Stage; // tokenizer, transformer, ...
    const run = await stage.create({
      device,
      seed: 1,
      data: async (split) => set(split),
      earlier: weights,
      readWeights: async () => new Map(),
      tokens: cache,
      onProgress: () => undefined,
    });
    const [splits] = await Promise.all(cache.values());
    tokens = (splits as TokenSplits).heldOutTokens;
    const trained = [...run.task.parameters.keys()].map((name) => [name, weights.get(name)] as const);
    reported = (await run.observe(new Map(trained as [string, never][]))).metrics;
    run.task.dispose?.();
    found = await measureDynamics(subject(), tokens, { device, seed: 1, corruptRate: 0.5 });
  }, 120_000);

  const subject = () => system.scaleWise?.(description, weights) as ScaleWiseSubject;

  it("has the loss and accuracy that observing held-out pictures reports", () => {
    const [loss, accuracy] = [reported.validationScaleLoss, reported.validationScaleAccuracy] as number[][];
    expect(found.truePast.loss.scales).toHaveLength(found.sides.length);
    for (const [s, value] of found.truePast.loss.scales.entries())
      expect(value).toBeCloseTo(loss?.[s] ?? 0, 5);
    for (const [s, value] of found.truePast.accuracy.scales.entries())
      expect(value).toBeCloseTo(accuracy?.[s] ?? 0, 6);
    expect(found.truePast.loss.overall).toBeCloseTo(reported.validationLoss as number, 5);
  });

  it("agrees with itself on the true past", () => {
    expect(found.truePast.divergence.scales.every((value) => value === 0)).toBe(true);
    expect(found.truePast.agreement.scales.every((value) => value === 1)).toBe(true);
  });

  it("sees a corrupted scale later only, the last nowhere, and nothing at rate 0", async () => {
    const last = found.sides.length - 1;
    for (const [s, past] of found.corrupted.entries())
      for (const [t, value] of past.divergence.scales.entries()) {
        if (t <= s) expect([s, t, value]).toEqual([s, t, 0]);
        else expect(value, `scale ${s} on ${t}`).toBeGreaterThan(1e-4);
      }
    expect(found.corrupted[last]).toEqual(found.truePast);
    const untouched = await measureDynamics(subject(), tokens, { device, seed: 1, corruptRate: 0 });
    for (const past of untouched.corrupted) expect(past).toEqual(found.truePast);
  }, 60_000);

  it("has an own past that differs from the truth", () => {
    for (const past of [found.oneStep, found.freeRunning]) {
      expect(past.divergence.scales[0]).toBe(0);
      expect(past.divergence.scales.slice(1).every((value) => value > 1e-4)).toBe(true);
    }
  });

  it("refuses a schedule that it cannot measure", () => {
    expect(() => system.scaleWise?.(description, weights, [1, 100])).toThrow(/schedule|side/);
  });
});

/** The dossier's properties of the refinement step, on the authors' model in miniature. */
import { beforeAll, describe, expect, it } from "vitest";
import { Scope, type Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { forcedTraining } from "../../regimen/forcedTraining.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { refinementProgramme } from "../../regimen/programmes.ts";
import { type Preset, presets, refineProgramme } from "../../regimen/refineMethods.ts";
import { refineStageSchema } from "../../regimen/refineStage.ts";
import { Rollout } from "../../regimen/rollout.ts";
import { ScaleWiseTask } from "../../regimen/scaleWiseTask.ts";
import {
  refinementSpecs,
  refinementTraining,
  refinementValues,
  rolledScales,
  selfRefinement,
} from "../../regimen/selfRefinement.ts";
import { Trainer } from "../../regimen/trainer.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32, int32 } from "../../tensor/tensor.ts";
import { patchNums, randomTokens, tinyConfig, tinyTrainee, tinyWeights } from "./testing/tiny.ts";
import { FlexTokenizer } from "./tokenizer.ts";

const plan = scalePlan(patchNums);
const labels = Int32Array.from([0, 3]);
const ids = randomTokens(2 * plan.length, 1);
const shape = [2, plan.length];
let device: Device;
let weights: Weights;
beforeAll(async () => {
  device = await openCpu({ threads: 2 });
  weights = tinyWeights();
});

/** Values of one step; `picks` only where they are given from outside. */
function valuesOf(options: Preset, picks?: Int32Array): Record<string, Value> {
  const { model } = tinyTrainee(weights);
  return {
    labels: ints(labels, [2]),
    studentLabels: ints(labels, [2]),
    ids: ints(ids, shape),
    ...(picks && { picks: ints(picks, shape) }),
    ...refinementValues(
      model,
      options,
      plan,
      rolledScales(plan, options.rollout, () => 0.5),
    ),
  };
}

async function step(options: Preset, picks?: Int32Array) {
  const { scope, model } = tinyTrainee(weights);
  return runOnce(refinementTraining(scope, model, options), valuesOf(options, picks), weights, device);
}

async function passes(options: Preset, picks?: Int32Array) {
  const { model } = tinyTrainee(weights);
  const graph = trace(refinementSpecs(model, options), (inputs) => {
    const all = selfRefinement(model, options, inputs);
    return {
      teacher: all.teacherLogits,
      student: all.studentLogits,
      picks: all.picks,
      loss: all.studentLoss,
    };
  });
  return runOnce(graph, valuesOf(options, picks), weights, device);
}

const gradientsOf = (outputs: Record<string, Value>) =>
  Object.fromEntries(Object.entries(outputs).filter(([name]) => name.startsWith("gradient:")));
const paper: Preset = presets["sar-paper"];
const drawn: Preset = { ...paper, sampling: true };

describe("the two passes", () => {
  it("with sigma 0 give the plain step's loss and gradients", async () => {
    const { scope, model } = tinyTrainee(weights);
    const values = {
      labels: ints(labels, [2]),
      ids: ints(ids, shape),
      past: ints(ids, shape),
      ...model.whole.values(plan),
    };
    const plain = await runOnce(forcedTraining(scope, model), values, weights, device);
    for (const preset of [paper, presets["sar-code"]]) {
      const refined = await step({ ...preset, sigma: 0 });
      expect(refined.loss?.data).toEqual(plain.loss?.data);
      for (const [name, { data }] of Object.entries(gradientsOf(plain)))
        data.forEach((value, i) => {
          expect(refined[name]?.data[i]).toBeCloseTo(value, 6);
        });
    }
  });

  it("are the same to the bit when the picks are the truth", async () => {
    const { teacher, student } = await passes(drawn, ids);
    expect(student?.data).toEqual(teacher?.data);
    const soft = await passes({ ...drawn, softTargets: true }, ids);
    expect(soft.loss?.data[0]).toBeCloseTo(0, 5);
  });

  it("always agree on the first scale", async () => {
    const { teacher, student } = await passes(drawn, randomTokens(ids.length, 9));
    const [a, b] = [teacher?.data ?? [], student?.data ?? []];
    const rows = (data: ArrayLike<number>) => [
      ...Array.from(data).slice(0, 20),
      ...Array.from(data).slice(21 * 20, 22 * 20),
    ];
    expect(rows(b)).toEqual(rows(a));
    expect(Array.from(b)).not.toEqual(Array.from(a));
  });

  it("send no gradient into the picks: found inside or given, the step is the same", async () => {
    const { picks } = await passes(paper);
    for (const preset of [paper, presets["sar-code"]]) {
      const inside = await step({ ...preset, sigma: 0.5 });
      const given = await step({ ...preset, sigma: 0.5, sampling: true }, picks?.data as Int32Array);
      expect(given.loss?.data).toEqual(inside.loss?.data);
      for (const [name, { data }] of Object.entries(gradientsOf(inside)))
        expect(given[name]?.data).toEqual(data);
    }
  });

  it("take one transition, drawn or the last, or all", () => {
    const sides = (rollout: Preset["rollout"], luck: number) =>
      rolledScales(plan, rollout, () => luck).map(({ side }) => side);
    expect(sides("all", 0)).toEqual([1, 2]);
    expect(sides("last", 0)).toEqual([2]);
    expect([sides("random", 0), sides("random", 0.99)]).toEqual([[1], [2]]);
  });

  it("refuse soft targets of the truth, and an isolated pass where a model has none", () => {
    const { model } = tinyTrainee(weights);
    const bare = { ...model, whole: model.whole, prefix: model.prefix }; // without its isolated pass
    expect(() => refinementSpecs(model, { ...paper, target: "truth", softTargets: true })).toThrow(/soft/);
    expect(() => refinementSpecs(bare, presets["sar-code"])).toThrow(/isolated/);
  });
});

describe("rollouts", () => {
  it("drawn from the best code only are the likeliest codes", async () => {
    const { model, frozen, trained } = tinyTrainee(weights);
    const request = { weights: trained, labels, truth: ids, plan };
    const stream = RandomStream.from(1, "rollout");
    using best = new Rollout(model, { sampling: false, sfCfg: 1, topK: 0, topP: 0 }, frozen, device);
    using top = new Rollout(model, { sampling: true, sfCfg: 1, topK: 1, topP: 0 }, frozen, device);
    const { picks } = await passes(paper);
    expect(await best.oneStep(request, stream)).toEqual(picks?.data);
    expect(await top.oneStep(request, stream)).toEqual(picks?.data);
  });

  it("that run free start as one step does, and keep forced scales true", async () => {
    const { model, frozen, trained } = tinyTrainee(weights);
    const request = { weights: trained, labels, truth: ids, plan };
    const stream = RandomStream.from(1, "rollout");
    using best = new Rollout(model, { sampling: false, sfCfg: 1, topK: 0, topP: 0 }, frozen, device);
    const [one, free, forced] = [
      await best.oneStep(request, stream),
      await best.freeRunning(request, stream),
      await best.freeRunning(request, stream, 2),
    ];
    expect(free[0]).toBe(one[0]);
    expect(forced.subarray(0, 5)).toEqual(ids.subarray(0, 5));
    expect(forced.subarray(5, 21)).toEqual(one.subarray(5, 21));
  });
});

describe("steps", () => {
  const batch = (stream: RandomStream) => ({
    step: 0,
    weights,
    device,
    labels,
    dropAgain: () => Int32Array.from([3, 3]),
    ids,
    plan,
    stream,
  });

  it("share dropped labels or draw them again, as the preset says", async () => {
    for (const [preset, expected] of [
      [paper, [0, 3]],
      [presets["sar-code"], [3, 3]],
    ] as const) {
      const programme = refinementProgramme(tinyTrainee(weights), preset);
      const { studentLabels } = await programme.values(batch(RandomStream.from(1, "x")));
      expect(Array.from(studentLabels?.data ?? [])).toEqual(expected);
    }
  });

  it.each(["sar-paper", "sar-code", "full-sf", "mixed", "alternating", "hybrid", "token-flips"] as const)(
    "of %s continue to the bit after a restart, with schedules that change",
    async (method) => {
      const tokens = {
        plan: scalePlan([1, 2, 3, 4]),
        ids: Uint16Array.from(randomTokens(4 * 30, 5)),
        labels: Int32Array.from([0, 1, 2, 0]),
      };
      const recipe = refineStageSchema.parse({ method, sampling: true, sfCfg: 2, forcedScales: 1 });
      const made = () => {
        const trainee = tinyTrainee(weights);
        return new ScaleWiseTask(
          trainee.model,
          refineProgramme(trainee, recipe),
          trainee.scope.specs,
          tokens,
          {
            batchSize: 2,
            seed: 1,
            plan: (stream) => scalePlan(stream.uniform() < 0.5 ? [1, 2, 4] : [1, 3, 4]),
            initial: trainee.trained,
          },
        );
      };
      const options = {
        schedule: { name: "constant", peak: 1e-3, steps: 3, warmup: 0, end: 1 },
        optimizer: defaultAdamW,
        accumulate: 1,
        emaDecay: 0,
      } as const;
      using whole = await Trainer.create(made(), options, device, RandomStream.from(1, "init"));
      const losses = [await whole.advance(), await whole.advance()].map(({ loss }) => loss);
      using rest = await Trainer.create(made(), options, device, whole.snapshot());
      const [a, b] = [await whole.advance(), await rest.advance()];
      expect(losses.every(Number.isFinite)).toBe(true);
      expect(b.loss).toBe(a.loss);
      for (const [name, { data }] of whole.weights) expect(rest.weights.get(name)?.data).toEqual(data);
    },
    60_000,
  );
});

it("own picks have codes of length 1 where the codebook is compared as it is", async () => {
  const tokenizer = new FlexTokenizer(Scope.root("vae."), { ...tinyConfig.tokenizer, codebookL2Norm: false });
  const specs = { ids: int32("B", 2), next: float32(2, 2) };
  const graph = trace(specs, (x) => ({
    truth: tokenizer.nextInput(x.ids, x.next),
    own: tokenizer.ownInput(x.ids, x.next),
  }));
  const next = floats([1, 0, 0, 1], [2, 2]);
  const { truth, own } = await runOnce(graph, { ids: ints([3, 5], [1, 2]), next }, weights, device);
  const width = tinyConfig.tokenizer.codeWidth;
  const lengths = ({ data }: Value) =>
    [0, 1].map((i) => Math.hypot(...Array.from(data.subarray(i * width, (i + 1) * width), Number)));
  for (const length of lengths(own as Value)) expect(length).toBeCloseTo(1, 5);
  for (const length of lengths(truth as Value)) expect(Math.abs(length - 1)).toBeGreaterThan(0.01);
});

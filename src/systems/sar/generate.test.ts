/** Generation with any schedule: cache, batches, larger sides, edits, refinement of pictures. */
import { beforeAll, describe, expect, it } from "vitest";
import type { GroupResult } from "../../decoding/groupGenerator.ts";
import type { Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Scale } from "../../plan/types.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { Rollout } from "../../regimen/rollout.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { int32, type Tensor, type TensorSpec } from "../../tensor/tensor.ts";
import { FlexGenerator, type GenerateOptions, guidanceOf } from "./generate.ts";
import { buildSar, SarModel } from "./sarModel.ts";
import { FlexScaleWise } from "./scaleWise.ts";
import { sarSubject } from "./subject.ts";
import { randomTokens, tinyConfig, tinyDescription, tinyTrainee, tinyWeights } from "./testing/tiny.ts";

const plain: GenerateOptions = {
  cfgScale: 2,
  guidance: "ramp",
  maxSide: 4,
  topK: 0,
  topP: 0,
  temperature: 1,
};
let device: Device;
let weights: Weights;
beforeAll(async () => {
  device = await openCpu({ threads: 2 });
  weights = tinyWeights();
});

async function generate(sides: number[], labels: number[], options: GenerateOptions, first = 0) {
  const { tokenizer, transformer } = buildSar(tinyConfig);
  using made = new FlexGenerator(tokenizer, transformer, weights, device);
  const streams = labels.map((_, i) => RandomStream.from(5, `picture/${first + i}`));
  const results: GroupResult<Scale>[] = [];
  for await (const result of made.generate(Int32Array.from(labels), scalePlan(sides), options, streams))
    results.push(result);
  return results;
}

const joined = (results: readonly GroupResult<Scale>[], batch: number): Int32Array =>
  Int32Array.from(
    Array.from({ length: batch }, (_, b) =>
      results.flatMap(({ tokens, group }) => [...tokens.subarray(b * group.size, (b + 1) * group.size)]),
    ).flat(),
  );

/** Logits [B, L, V] of the whole sequence at once. */
async function wholeLogits(sides: number[], labels: number[], tokens: Int32Array): Promise<Value> {
  const { tokenizer, transformer } = buildSar(tinyConfig);
  const plan = scalePlan(sides);
  const model = new FlexScaleWise(tokenizer, transformer);
  const specs: Record<string, TensorSpec> = {
    labels: int32("B"),
    past: int32("B", model.whole.length),
    ...model.whole.specs,
  };
  const graph = trace(specs, (x) => ({
    logits: model.whole.logits(x.labels as Tensor, x.past as Tensor, x as Record<string, Tensor>),
  }));
  const values = {
    labels: ints(labels, [labels.length]),
    past: ints(tokens, [labels.length, plan.length]),
    ...model.whole.values(plan),
  };
  return (await runOnce(graph, values, weights, device)).logits as Value;
}

describe("generation", () => {
  it.each([[[1, 2, 4]], [[1, 2, 3, 4]], [[1, 3, 6]], [[2, 5]]])(
    "over sides %j with a cache gives the logits of the whole sequence at once, guided",
    async (sides) => {
      if (sides[0] !== 1) {
        // a first scale of another side than pos_start has: the start repeats
        expect(await generate(sides, [0], plain)).toHaveLength(2);
        return;
      }
      const labels = [0, 2];
      const results = await generate(sides, labels, plain);
      const { length } = scalePlan(sides);
      const tokens = joined(results, 2);
      const conditional = await wholeLogits(sides, labels, tokens);
      const none = await wholeLogits(sides, [3, 3], tokens);
      for (const { group, logits } of results) {
        const t = guidanceOf(group, sides.length, plain);
        logits.data.forEach((value, i) => {
          const b = Math.floor(i / (group.size * 20));
          const at = (b * length + group.start) * 20 + (i % (group.size * 20));
          const expected = (1 + t) * (conditional.data[at] as number) - t * (none.data[at] as number);
          expect(Math.abs(value - expected)).toBeLessThan(1e-3);
        });
      }
    },
  );

  it("of a batch equals that of its pictures alone", async () => {
    const both = await generate([1, 2, 4], [0, 2], plain);
    const alone = await generate([1, 2, 4], [2], plain, 1);
    for (const [i, { tokens, group }] of alone.entries())
      expect(both[i]?.tokens.subarray(group.size)).toEqual(tokens);
  });

  it("without guidance or chance is the free-running rollout of training", async () => {
    const greedy = { ...plain, cfgScale: 0, temperature: 0 };
    const results = await generate([1, 2, 4], [0, 2], greedy);
    const { model, frozen, trained } = tinyTrainee(weights);
    using rollout = new Rollout(model, { sampling: false, sfCfg: 1, topK: 0, topP: 0 }, frozen, device);
    const request = {
      weights: trained,
      labels: Int32Array.from([0, 2]),
      truth: randomTokens(42, 3),
      plan: scalePlan([1, 2, 4]),
    };
    expect(joined(results, 2)).toEqual(await rollout.freeRunning(request, RandomStream.from(1, "x")));
  });

  it("guides every scale of a free run by its place in the whole schedule", async () => {
    const seen: number[][] = [];
    const watching: Device = {
      ...device,
      createSession: async (model, options) => {
        const session = await device.createSession(model, options);
        return {
          run: (feeds, outputs) => {
            seen.push([...((feeds.get("guidance")?.data ?? []) as Float32Array)]);
            return session.run(feeds, outputs);
          },
          [Symbol.dispose]: () => session[Symbol.dispose](),
        };
      },
    };
    const { model, frozen, trained } = tinyTrainee(weights);
    using rollout = new Rollout(model, { sampling: true, sfCfg: 1.2, topK: 0, topP: 0 }, frozen, watching);
    const plan = scalePlan([1, 2, 4]);
    const request = { weights: trained, labels: Int32Array.of(0), truth: randomTokens(21, 3), plan };
    await rollout.freeRunning(request, RandomStream.from(1, "x"));
    const last = seen.map((guidance) => Number(guidance.at(-1)?.toFixed(4)));
    expect(last).toEqual([0.6, 0.9, 1.2]); // sfCfg (1 + i / (S - 1)) / 2
  });

  it("is greedy at sides that were not trained, and guides them fully", async () => {
    const scale = { index: 2, start: 5, size: 36, side: 6 };
    expect(guidanceOf(scale, 3, plain)).toBe(2);
    expect(guidanceOf({ ...scale, side: 4 }, 5, plain)).toBe(1);
    expect(guidanceOf({ ...scale, index: 11 }, 14, { ...plain, maxSide: 9 })).toBeCloseTo((2 * 11) / 9);
    expect(guidanceOf(scale, 3, { ...plain, guidance: "constant" })).toBe(1);
    const [, unseen] = await generate([1, 6], [0], plain);
    unseen?.tokens.forEach((token, i) => {
      const row = Array.from(unseen.logits.data).slice(i * 20, (i + 1) * 20);
      expect(token).toBe(row.indexOf(Math.max(...row)));
    });
  });

  it.each([
    [{ topK: -1 }, "SAMPLING_BAD_OPTION"],
    [{ cfgScale: Number.NaN }, "SAMPLING_BAD_OPTION"],
  ])("refuses %j", async (over, code) => {
    await expect(generate([1, 2], [0], { ...plain, ...over })).rejects.toMatchObject({ code });
    await expect(generate([1, 2], [7], plain)).rejects.toMatchObject({ code: "LABEL_OUT_OF_RANGE" });
    expect(() => sarSubject(tinyConfig, weights, [2, 2])).toThrow(
      expect.objectContaining({ code: "PLAN_BAD_SCHEDULE" }),
    );
  });
});

describe("an opened model", () => {
  const sample = async (options: Record<string, unknown>, extra: object = {}) => {
    using model = new SarModel(tinyDescription, tinyConfig, weights, device);
    const events = [];
    const request = { labels: [0, 1], seed: 3, options, previews: true, ...extra };
    for await (const event of model.sample(request)) events.push(event);
    return events;
  };

  it("shows every scale, and a larger last one also in its own size", async () => {
    const events = await sample({ schedule: [1, 2, 6] });
    expect(events.map(({ done, total }) => [done, total])).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    expect(events.map(({ pixels }) => pixels.length)).toEqual([1536, 1536, 1536]);
    expect(events[2]?.native?.size).toBe(24);
    expect(events[2]?.native?.pixels).toHaveLength(2 * 24 * 24 * 3);
    expect((await sample({}))[2]?.native).toBeUndefined();
    expect((await sample({ schedule: [1, 2, 6] }))[2]?.pixels).toEqual(events[2]?.pixels);
    await expect(sample({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("brings pictures back through its tokenizer, one by one or together", async () => {
    using model = new SarModel(tinyDescription, tinyConfig, weights, device);
    const pixels = Uint8Array.from({ length: 35 * 768 }, (_, i) => (i * 7919) % 256);
    const all = await model.reconstruct(pixels);
    expect(all).toHaveLength(pixels.length);
    const last = await model.reconstruct(pixels.slice(34 * 768));
    expect(all.slice(34 * 768)).toEqual(last);
    await expect(model.reconstruct(pixels.slice(1))).rejects.toMatchObject({ code: "DATA_BAD_SHAPE" });
    const aborted = model.reconstruct(pixels, AbortSignal.abort());
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("keeps a picture's tokens outside a box, and its coarse scales when it refines", async () => {
    const pixels = Uint8Array.from({ length: 768 }, (_, i) => (i * 37) % 256);
    const all = { y0: 0, x0: 0, y1: 1, x1: 1 };
    const ids = async (box: typeof all, options: object) => {
      const events = await sample({ ...options }, { edit: { pixels, box, where: "inside" } });
      return events.at(-1)?.ids ?? [];
    };
    const source = await ids(all, { keepScales: 3 });
    const refined = await ids(all, { keepScales: 2 });
    expect(refined[1]).toEqual(source[1]);
    expect(refined[2]).not.toEqual(source[2]);
    const half = await ids({ y0: 0, x0: 0, y1: 0.5, x1: 1 }, {});
    expect(half[2]?.subarray(8, 16)).toEqual(source[2]?.subarray(8, 16));
  });

  it("keeps nothing of a picture at sides that its tokens do not have", async () => {
    const pixels = Uint8Array.from({ length: 768 }, (_, i) => (i * 37) % 256);
    const half = { y0: 0, x0: 0, y1: 0.5, x1: 1 };
    const all = { y0: 0, x0: 0, y1: 1, x1: 1 };
    const schedule = [1, 2, 6]; // latents have side 4
    const edit = (box: typeof all, options: object) =>
      sample({ schedule, ...options }, { edit: { pixels, box, where: "inside" } });
    const refusal = { code: "SCHEDULE_TOO_FINE", path: "schedule" };
    await expect(edit(half, {})).rejects.toMatchObject(refusal);
    await expect(edit(all, { keepScales: 3 })).rejects.toMatchObject(refusal);
    expect((await edit(all, { keepScales: 2 })).at(-1)?.native?.size).toBe(24);
  });
});

import { beforeAll, describe, expect, it } from "vitest";
import { editPlan } from "../../codec/editMask.ts";
import { ownGroup } from "../../context/ownGroup.ts";
import { attentionBias } from "../../context/visibility.ts";
import { sequenceOptions } from "../../mixer/modulatedTransformer.ts";
import { initialise, parameterCount, type Weights } from "../../nn/scope.ts";
import { officialTransformer, tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { crossEntropy } from "../../tensor/ops/neural.ts";
import { RandomStream } from "../../tensor/random.ts";
import { constant, float32, int32 } from "../../tensor/tensor.ts";
import { buildHmar } from "./build.ts";
import { hmarModelSchema } from "./config.ts";
import { type GenerateOptions, HmarGenerator, type ScaleResult } from "./generate.ts";
import { HmarModel } from "./hmarModel.ts";
import { maskedLosses, maskedProgramme } from "./objective.ts";
import { hmarRecipeSchema, hmarRecipes } from "./recipe.ts";
import { readSchedule, withoutRefinement } from "./refineSchedule.ts";
import { tailOf } from "./stages.ts";
import { hmarSystem } from "./system.ts";

const patchNums = [1, 2, 4];
const config = hmarModelSchema.parse({
  tokenizer: tokenizerSchema.parse({
    ...{ vocabSize: 20, zChannels: 4, ch: 8, numGroups: 2, chMult: [1, 1], numResBlocks: 1, patchSize: 2 },
    patchNums,
  }),
  transformer: transformerSchema.parse({ numClasses: 3, depth: 2, embedDim: 16, numHeads: 2, patchNums }),
  tailLayers: 1,
});
const description = { system: "hmar", config, classNames: ["a", "b", "c"], imageSize: 16 };
const { plan } = buildHmar(config).tokenizer;
const plain: GenerateOptions = {
  ...{ cfgScale: 0, topK: 0, topP: 0, temperature: 1 },
  schedule: withoutRefinement(plan),
};
const refining = { ...plain, schedule: readSchedule("1/1,3/4,4,8", plan) };

let device: Device;
let weights: Weights;
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
  const drawn = initialise(hmarSystem.parameters(description), RandomStream.from(1, "test"));
  // Official first gates are tiny; loud ones make every path matter.
  weights = new Map(
    [...drawn].map(([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, name.includes("ada_lin") ? 0.5 : 0.3), shape),
    ]),
  );
}, 60_000);

async function generate(labels: number[], options: GenerateOptions, first = 0) {
  using made = new HmarGenerator(buildHmar(config), weights, device);
  const streams = labels.map((_, i) => RandomStream.from(5, `picture/${first + i}`));
  const results: ScaleResult[] = [];
  for await (const result of made.generate(Int32Array.from(labels), options, streams)) results.push(result);
  return results;
}

/** Tokens [B, L] of all scales. */
function joined(results: readonly ScaleResult[], batch: number): Value {
  const rows = Array.from({ length: batch }, (_, b) =>
    results.flatMap(({ tokens, group }) => [...tokens.subarray(b * group.size, (b + 1) * group.size)]),
  );
  return ints(rows.flat(), [batch, plan.length]);
}

function largestGap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0);
}

describe("next-scale prediction", () => {
  it("scale by scale equals a block-diagonal mask over the whole sequence", async () => {
    const { tokenizer, nextScale } = buildHmar(config);
    const graph = trace({ labels: int32("B"), ids: int32("B", plan.length) }, ({ labels, ids }) => {
      const inputs = tokenizer.teacherInput(ids);
      const condition = nextScale.classVector(labels);
      const bias = constant(attentionBias(ownGroup, plan), [plan.length, plan.length]);
      const x = nextScale.sequence(condition, inputs);
      return {
        parts: nextScale.logits(labels, inputs),
        dense: nextScale.blocks(x, nextScale.modulations(condition), sequenceOptions(bias)).logits,
      };
    });
    const ids = ints(
      Int32Array.from({ length: 2 * plan.length }, (_, i) => (7 * i) % 20),
      [2, plan.length],
    );
    const { parts, dense } = await runOnce(graph, { labels: ints([0, 3], [2]), ids }, weights, device);
    expect(largestGap(parts?.data ?? [], dense?.data ?? [])).toBeLessThan(1e-4);
  });

  it("generates from the logits of the whole sequence at once, guided", async () => {
    const results = await generate([0, 2], { ...plain, cfgScale: 2 });
    const { tokenizer, nextScale } = buildHmar(config);
    const graph = trace({ labels: int32("B"), ids: int32("B", plan.length) }, (x) => ({
      logits: nextScale.logits(x.labels, tokenizer.teacherInput(x.ids)),
    }));
    const rows = async (labels: number[]) => {
      const inputs = { labels: ints(labels, [2]), ids: joined(results, 2) };
      return (await runOnce(graph, inputs, weights, device)).logits?.data as Float32Array;
    };
    const [conditional, none] = [await rows([0, 2]), await rows([3, 3])];
    for (const { group, logits } of results) {
      const expected = [0, 1].flatMap((b) =>
        Array.from({ length: group.size * 20 }, (_, i) => {
          const at = (b * plan.length + group.start) * 20 + i;
          return (1 + group.index) * (conditional[at] as number) - group.index * (none[at] as number);
        }),
      );
      expect(largestGap(logits.data, expected)).toBeLessThan(1e-3);
    }
  });
});

describe("masked refinement", () => {
  it("draws the flagged sites again and nothing else, fewer at each pass", async () => {
    const [, , last] = await generate([1, 2], refining);
    const counts = last?.masked.map((flags) => flags.reduce((a, b) => a + b, 0));
    expect(counts).toEqual([2 * 12, 2 * 8]);
    const [first, second] = last?.masked ?? [];
    expect(first?.every((flag, i) => flag === 1 || second?.[i] === 0)).toBe(true); // within the former
    const [, , unrefined] = await generate([1, 2], {
      ...refining,
      schedule: [...refining.schedule.slice(0, 2), [16]],
    });
    const kept = [...(first ?? [])].flatMap((flag, i) => (flag === 0 ? [i] : []));
    expect(kept.map((i) => last?.tokens[i])).toEqual(kept.map((i) => unrefined?.tokens[i]));
    expect(last?.tokens).not.toEqual(unrefined?.tokens);
  });

  it("does not depend on the other pictures of a batch", async () => {
    const both = await generate([0, 2], refining);
    const alone = await generate([2], refining, 1);
    for (const [i, { tokens, group }] of alone.entries())
      expect(both[i]?.tokens.subarray(group.size)).toEqual(tokens);
  });

  it("keeps what an edit keeps", async () => {
    const ids = Int32Array.from({ length: plan.length }, (_, i) => (3 * i) % 20);
    const edit = editPlan(
      plan,
      new Float32Array(16).map((_, i) => (i % 4 < 2 ? 1 : 0)),
      ids,
    );
    const results = await generate([0, 1], { ...refining, edit });
    const last = results[2];
    const kept = edit.keep[2] ?? [];
    const hidden = last?.masked.map((flags) => [...flags].map((flag, at) => flag + 2 * (kept[at % 16] ?? 0)));
    expect(hidden?.flat()).not.toContain(3); // what is kept is never masked
    expect(last?.masked.map((flags) => flags.reduce((sum, flag) => sum + flag, 0))).toEqual([12, 8]); // of 8 free sites each
    expect([...kept].filter((flag) => flag === 1)).toHaveLength(8);
    for (const [i, flag] of kept.entries()) if (flag === 1) expect(last?.tokens[i]).toBe(ids[5 + i]);
  });

  it("begins with a mask vector as large as other embeddings", () => {
    const wide = { ...config, transformer: { ...config.transformer, embedDim: 64 } };
    const drawn = initialise(
      hmarSystem.parameters({ ...description, config: wide }),
      RandomStream.from(1, "test"),
    );
    const [vector = []] = [...drawn].flatMap(([name, { data }]) =>
      name.includes("mask_embed") ? [data] : [],
    );
    const deviation = Math.sqrt(
      Array.from(vector).reduce((sum, value) => sum + value ** 2, 0) / vector.length,
    );
    expect(deviation / Math.sqrt(1 / 64 / 3)).toBeGreaterThan(0.7);
    expect(deviation / Math.sqrt(1 / 64 / 3)).toBeLessThan(1.1);
  });

  it("a first scale of four tokens: the authors' loss counts from position 1, ours from the second scale", async () => {
    const sizes = [2, 4];
    const wide = buildHmar(
      hmarModelSchema.parse({
        ...config,
        tokenizer: { ...config.tokenizer, patchNums: sizes },
        transformer: { ...config.transformer, patchNums: sizes },
      }),
    );
    const length = wide.tokenizer.plan.length; // 4 + 16
    const ids = ints(
      Int32Array.from({ length }, (_, i) => (7 * i) % 20),
      [1, length],
    );
    const flags = Float32Array.from({ length: length - 4 }, (_, i) => (i % 3 === 0 ? 1 : 0));
    const specs = { labels: int32(1), ids: int32(1, length), masked: float32(1, length - 4) };
    const graph = trace(specs, ({ labels, ids, masked }) => ({
      ours: maskedLosses(wide, labels, ids, masked).loss,
      theirs: maskedLosses(wide, labels, ids, masked, { from: 1 }).loss,
      each: crossEntropy(
        wide.masked.logits(labels, wide.tokenizer.teacherInput(ids), wide.tokenizer.vq.ownInput(ids), masked),
        ids,
      ),
    }));
    const specsOf = Object.values(wide.scopes).flatMap((scope) => [...scope.specs]);
    const drawn = initialise(new Map(specsOf), RandomStream.from(3, "wide"));
    const given = { labels: ints([1], [1]), ids, masked: floats(flags, [1, flags.length]) };
    const { ours, theirs, each } = await runOnce(graph, given, drawn, device);
    const meanFrom = (from: number) => {
      const losses = [...flags.keys()]
        .filter((i) => flags[i] === 1)
        .map((i) => each?.data[from + i] as number);
      return losses.reduce((a, b) => a + b) / losses.length;
    };
    expect(ours?.data[0]).toBeCloseTo(meanFrom(4), 5);
    expect(theirs?.data[0]).toBeCloseTo(meanFrom(1), 5);
    expect(meanFrom(1)).not.toBeCloseTo(meanFrom(4), 3);
  });

  it("schedules are read from text and must fix every token", () => {
    expect(readSchedule("default", plan)).toEqual([[1], [1, 3], [16]]);
    expect(readSchedule("none", plan)).toEqual([[1], [4], [16]]);
    for (const text of ["1/1,3", "1/1,2/16", "1/0,4/16", "1/x/16", "1/1,3/16/25"])
      expect(() => readSchedule(text, plan)).toThrowError(
        expect.objectContaining({ code: "SAMPLING_BAD_OPTION" }),
      );
  });

  it("trains only what it has of its own, which begins as next-scale prediction's tail", () => {
    const networks = buildHmar(config);
    const programme = maskedProgramme(networks, new Map());
    const trained = Object.keys(programme.graph.outputs).filter((name) => name.startsWith("gradient:"));
    expect(trained.length).toBeGreaterThan(10);
    expect(trained.every((name) => name.startsWith("gradient:mp."))).toBe(true);
    expect(trained.some((name) => name.includes("blocks.0."))).toBe(false);
    const begun = tailOf(networks, new Map([...weights].filter(([name]) => name.startsWith("nsp."))));
    expect(begun.get("mp.head.weight")).toBe(weights.get("nsp.head.weight"));
    expect(begun.has("mp.mask_embed.weight")).toBe(false);
  });
});

describe("an opened model", () => {
  it("follows seeds and schedules, and stops at a signal", async () => {
    using model = new HmarModel(description, config, weights, device);
    const last = async (seed: number, refine: string, signal?: AbortSignal) => {
      const request = { labels: [0, undefined], seed, options: { refine }, previews: true };
      let [seen, pixels] = [0, new Uint8Array(0)];
      for await (const event of model.sample({ ...request, ...(signal && { signal }) }))
        [seen, pixels] = [seen + 1, Uint8Array.from(event.pixels)];
      expect(seen).toBe(3);
      return pixels;
    };
    expect(await last(1, "default")).toEqual(await last(1, "default"));
    expect(await last(1, "default")).not.toEqual(await last(2, "default"));
    expect(await last(1, "1/1,3/4,12")).not.toEqual(await last(1, "none"));
    await expect(last(1, "none", AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("counts the tokens of its passes", () => {
    expect(hmarSystem.tokensPerPicture?.(description, { refine: "1/1,3/4,4,8" })).toBe(1 + 2 * 4 + 3 * 16);
  });
});

it("a recipe whose tail is longer than the model is refused", () => {
  const recipe = { ...hmarRecipes.smoke.recipe, tailLayers: 3 };
  expect(hmarRecipeSchema.safeParse(recipe).error?.issues[0]?.path).toEqual(["tailLayers"]);
});

it("d16 is VAR-d16 with its tail twice; published as 465 M", () => {
  const sides = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16];
  const official = hmarModelSchema.parse({
    tokenizer: tokenizerSchema.parse({ patchNums: sides }),
    transformer: officialTransformer(16, sides),
  });
  const specs = [...hmarSystem.parameters({ ...description, config: official })];
  const millions = (prefix: string) =>
    Math.round(parameterCount(new Map(specs.filter(([name]) => name.startsWith(prefix)))) / 1e6);
  expect([millions("nsp."), millions("mp.")]).toEqual([310, 157]);
}, 60_000);

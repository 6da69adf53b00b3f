import { beforeAll, describe, expect, it } from "vitest";
import { boxMask, editPlan, requestMask } from "../../codec/editMask.ts";
import { reconstructGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { initialise, parameterCount, type Weights } from "../../nn/scope.ts";
import { officialTransformer, tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { presets } from "../../regimen/refineMethods.ts";
import { refinementSpecs, refinementValues, selfRefinement } from "../../regimen/selfRefinement.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { RandomStream } from "../../tensor/random.ts";
import { int32 } from "../../tensor/tensor.ts";
import { type GenerateOptions, type ScaleResult, VarGenerator } from "./generate.ts";
import { varTrainee } from "./scaleWise.ts";
import { varSystem } from "./system.ts";
import { buildVar, VarModel } from "./varModel.ts";

const patchNums = [1, 2, 4];
const config = {
  tokenizer: tokenizerSchema.parse({
    vocabSize: 20,
    zChannels: 4,
    ch: 8,
    numGroups: 2,
    chMult: [1, 1],
    numResBlocks: 1,
    patchSize: 2,
    patchNums,
  }),
  transformer: transformerSchema.parse({ numClasses: 3, depth: 2, embedDim: 16, numHeads: 2, patchNums }),
};
const description = { system: "var", config, classNames: ["a", "b", "c"], imageSize: 16 };
const plain: GenerateOptions = { cfgScale: 2, topK: 0, topP: 0, temperature: 1, smooth: false };

let device: Device;
let weights: Weights;
beforeAll(async () => {
  device = await openCpu({ threads: 2 });
  const parameters = varSystem.parameters(description);
  const drawn = initialise(parameters, RandomStream.from(1, "test"));
  // Official first gates are tiny; loud ones make every path matter.
  weights = new Map(
    [...drawn].map(([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, name.includes("ada_lin") ? 0.5 : 0.3), shape),
    ]),
  );
});

function generator(): VarGenerator {
  const { tokenizer, transformer } = buildVar(config);
  return new VarGenerator(tokenizer, transformer, weights, "vae.quantize.embedding.weight", device);
}

async function generate(made: VarGenerator, labels: number[], options: GenerateOptions, first = 0) {
  const streams = labels.map((_, i) => RandomStream.from(5, `picture/${first + i}`));
  const results: ScaleResult[] = [];
  for await (const result of made.generate(Int32Array.from(labels), options, { streams }))
    results.push(result);
  return results;
}

/** Tokens [B, L] of all scales. */
function joined(results: readonly ScaleResult[], batch: number): Value {
  const rows = Array.from({ length: batch }, (_, b) =>
    results.flatMap(({ tokens, group: scale }) => [...tokens.subarray(b * scale.size, (b + 1) * scale.size)]),
  );
  return ints(rows.flat(), [batch, 21]);
}

function largestGap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0);
}

describe("generation", () => {
  it("with a cache gives the logits of the whole sequence at once, guided", async () => {
    using made = generator();
    const labels = [0, 2];
    const results = await generate(made, labels, plain);
    const { tokenizer, transformer } = buildVar(config);
    const B = symbol("B");
    const graph = trace({ labels: int32(B), ids: int32(B, 21) }, (x) => ({
      logits: transformer.logits(x.labels, tokenizer.teacherInput(x.ids)),
    }));
    using whole = await compile(graph, { device, weights });
    const ids = joined(results, 2);
    const rows = async (of: number[]) =>
      (await whole.run({ labels: ints(of, [2]), ids })).logits?.data as Float32Array;
    const [conditional, none] = [await rows(labels), await rows([3, 3])];
    for (const { group: scale, logits } of results) {
      const t = (2 * scale.index) / 2;
      const width = scale.size * 20;
      const expected = [0, 1].flatMap((b) =>
        Array.from({ length: width }, (_, i) => {
          const at = (b * 21 + scale.start) * 20 + i;
          return (1 + t) * (conditional[at] as number) - t * (none[at] as number);
        }),
      );
      expect(largestGap(logits.data, expected)).toBeLessThan(1e-3);
    }
  });

  it("accumulates what the tokenizer makes of the tokens", async () => {
    using made = generator();
    const results = await generate(made, [1], plain);
    using program = await compile(reconstructGraph(made.tokenizer), { device, weights });
    const { reconstructions } = await program.run({ ids: joined(results, 1) });
    const last = reconstructions?.data.slice(-4 * 16) ?? [];
    expect(largestGap(results.at(-1)?.total.data ?? [], last)).toBeLessThan(1e-4);
  });

  it("of a batch equals that of its pictures alone", async () => {
    using made = generator();
    const both = await generate(made, [0, 2], plain);
    const alone = await generate(made, [2], plain, 1);
    for (const [i, { tokens, group: scale }] of alone.entries())
      expect(both[i]?.tokens.subarray(scale.size)).toEqual(tokens);
  });

  it("follows seeds, and stops at a signal between scales", async () => {
    using model = new VarModel(description, config, weights, device);
    const last = async (seed: number, signal?: AbortSignal) => {
      let seen = 0;
      let pixels = new Uint8Array(0);
      const request = { labels: [0, 1], seed, options: {}, previews: true, ...(signal && { signal }) };
      for await (const event of model.sample(request))
        [seen, pixels] = [seen + 1, Uint8Array.from(event.pixels)];
      expect(seen).toBe(3);
      return pixels;
    };
    expect(await last(1)).toEqual(await last(1));
    expect(await last(1)).not.toEqual(await last(2));
    await expect(last(1, AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
  });

  it.each([
    [{ topK: -1 }, "SAMPLING_BAD_OPTION"],
    [{ topP: Number.NaN }, "SAMPLING_BAD_OPTION"],
    [{ cfgScale: Number.POSITIVE_INFINITY }, "SAMPLING_BAD_OPTION"],
  ])("refuses %j", async (over, code) => {
    using made = generator();
    await expect(generate(made, [0], { ...plain, ...over })).rejects.toMatchObject({ code });
    await expect(generate(made, [7], plain)).rejects.toMatchObject({ code: "LABEL_OUT_OF_RANGE" });
  });
});

describe("editing", () => {
  it("keeps given tokens exactly, and all of them when the box is empty", async () => {
    using made = generator();
    using tokenize = await compile(tokenizeGraph(made.tokenizer), { device, weights });
    const image = RandomStream.from(3, "image").normals(3 * 256, 0.5);
    const { ids } = await tokenize.run({ images: floats(image, [1, 3, 16, 16]) });
    const source = ids?.data as Int32Array;
    for (const [box, inside] of [
      [{ y0: 0, x0: 0, y1: 0.5, x1: 1 }, true],
      [{ y0: 0.5, x0: 0.25, y1: 1, x1: 1 }, false],
      [{ y0: 0, x0: 0, y1: 0, x1: 0 }, true],
    ] as const) {
      const edit = editPlan(made.tokenizer.plan, boxMask(4, box, inside), source);
      const results = await generate(made, [3], { ...plain, edit });
      const tokens = joined(results, 1).data;
      const keep = edit.keep.flatMap((flags) => [...flags]);
      keep.forEach((kept, i) => {
        if (kept === 1) expect(tokens[i]).toBe(source[i]);
      });
      if (box.y1 === 0) expect(keep.every((kept) => kept === 1)).toBe(true);
      else expect(keep.some((kept) => kept === 0)).toBe(true);
    }
    expect(() => boxMask(4, { y0: 0, x0: -1, y1: 1, x1: 1 }, true)).toThrow(/fractions/);
    for (const [from, to] of [
      [1, 0],
      [0.01, 0.02],
    ] as const)
      expect(() => requestMask(4, { box: { y0: from, x0: from, y1: to, x1: to }, where: "inside" })).toThrow(
        /none/,
      );
  });
});

describe("refinement", () => {
  it("sees what it saw before when its predictions are the truth, and has no isolated pass", async () => {
    const { tokenizer } = buildVar(config);
    const trainee = varTrainee(tokenizer, weights, config.transformer);
    const options = { ...presets["sar-paper"], sampling: true };
    const tokens = RandomStream.from(4, "tokens");
    const ids = ints(
      Int32Array.from({ length: 42 }, () => tokens.integer(20)),
      [2, 21],
    );
    const graph = trace(refinementSpecs(trainee.model, options), (inputs) => {
      const { teacherLogits, studentLogits } = selfRefinement(trainee.model, options, inputs);
      return { teacherLogits, studentLogits };
    });
    const { plan } = tokenizer;
    const labels = ints([0, 3], [2]);
    const values = {
      ...refinementValues(trainee.model, options, plan, plan.groups.slice(0, -1)),
      labels,
      studentLabels: labels,
      ids,
      picks: ids,
    };
    const { teacherLogits, studentLogits } = await runOnce(graph, values, weights, device);
    expect(studentLogits?.data).toEqual(teacherLogits?.data);
    expect(() => refinementSpecs(trainee.model, presets["sar-code"])).toThrow(/isolated/);
  });
});

describe("official sizes", () => {
  const official = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16];
  // Published in the official model zoo: 310 M, 600 M, 1.0 B, 2.0 B.
  it.each([
    [16, 310],
    [20, 600],
    [24, 1030],
    [30, 2010],
  ])("depth %i has about %i million parameters, nothing allocated", (depth, millions) => {
    const transformer = officialTransformer(depth, official);
    const tokenizer = tokenizerSchema.parse({});
    const specs = varSystem.parameters({
      system: "var",
      config: { tokenizer, transformer },
      classNames: [],
      imageSize: 256,
    });
    const own = new Map([...specs].filter(([name]) => name.startsWith("var.")));
    expect(parameterCount(own) / 1e6 / millions).toBeCloseTo(1, 1);
    expect(specs.get("vae.encoder.down.4.attn.1.qkv.weight")?.shape).toEqual([1920, 640, 1, 1]);
  });
});

it("feed-forward widths round as Python does", () => {
  const widthOf = (mlpRatio: number) => {
    const transformer = {
      ...transformerSchema.parse({ depth: 1, embedDim: 36, numHeads: 2, mlpRatio, patchNums: [1, 2] }),
    };
    const config = { tokenizer: tokenizerSchema.parse({ patchNums: [1, 2] }), transformer };
    const specs = varSystem.parameters({ system: "var", config, classNames: [], imageSize: 32 });
    return specs.get("var.blocks.0.ffn.fc1.weight")?.shape[0];
  };
  expect([2.625, 2.625 + 1 / 36, 2.7].map(widthOf)).toEqual([94, 96, 97]); // 94.5, 95.5, 97.2
});

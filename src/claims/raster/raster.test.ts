import { beforeAll, expect, it } from "vitest";
import { groundTruth } from "../../context/pastSources.ts";
import { initialise, type Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import { forcedProgramme } from "../../regimen/programmes.ts";
import { ScaleWiseTask } from "../../regimen/scaleWiseTask.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { slice } from "../../tensor/ops/structure.ts";
import { RandomStream } from "../../tensor/random.ts";
import { int32 } from "../../tensor/tensor.ts";
import { rasterConfigSchema, singleScale } from "./config.ts";
import { RasterGenerator } from "./generate.ts";
import { buildRaster, rasterPrefix, rasterTrainee } from "./model.ts";
import { RasterModel, rasterParameters } from "./rasterModel.ts";

const codec = {
  ...{ vocabSize: 20, zChannels: 4, ch: 8, numGroups: 2, chMult: [1, 1], numResBlocks: 1, patchSize: 2 },
  patchNums: [1, 2, 4],
};
const config = rasterConfigSchema.parse({
  tokenizer: tokenizerSchema.parse(singleScale(codec)),
  transformer: transformerSchema.parse({
    ...{ numClasses: 3, depth: 2, embedDim: 16, numHeads: 2, patchNums: [4] },
  }),
});
const description = { system: "raster", config, classNames: ["a", "b", "c"], imageSize: 16 };
const plain = { cfgScale: 2, topK: 0, topP: 0, temperature: 1 };

let device: Device;
let weights: Weights;
beforeAll(async () => {
  device = await openCpu({ threads: 2 });
  const drawn = initialise(rasterParameters(config), RandomStream.from(1, "test"));
  // First gates are tiny; loud ones make every path matter.
  weights = new Map(
    [...drawn].map(([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, name.includes("ada_lin") ? 0.5 : 0.3), shape),
    ]),
  );
});

it("predicts the finest map only: 16 tokens in 16 passes", () => {
  const { tokenizer, transformer } = buildRaster(config);
  expect(tokenizer.plan.length).toBe(16);
  expect(transformer.plan.groups.map(({ size }) => size)).toEqual(Array(16).fill(1));
  expect([...rasterParameters(config).keys()].filter((name) => name.includes("quant_resi"))).toEqual([]); // no phi
});

it("with a cache gives the logits of the whole sequence at once, guided", async () => {
  const { tokenizer, transformer } = buildRaster(config);
  using made = new RasterGenerator(transformer, 4, weights, device);
  const streams = [0, 1].map((i) => RandomStream.from(5, `picture/${i}`));
  const [tokens, logits] = [new Int32Array(32), new Float32Array(2 * 16 * 20)];
  for await (const { group, tokens: drawn, logits: rows } of made.generate(
    Int32Array.from([0, 2]),
    plain,
    streams,
  )) {
    for (const b of [0, 1]) {
      tokens[b * 16 + group.index] = drawn[b] ?? 0;
      const row = (rows.data as Float32Array).subarray(b * 20, (b + 1) * 20);
      logits.set(row, (b * 16 + group.index) * 20);
    }
  }
  const B = symbol("B");
  const graph = trace({ labels: int32(B), ids: int32(B, 16) }, ({ labels, ids }) => ({
    logits: transformer.logits(labels, gatherRows(tokenizer.vq.codebook, slice(ids, 1, 0, 15))),
  }));
  using whole = await compile(graph, { device, weights });
  const rows = async (of: number[]) =>
    (await whole.run({ labels: ints(of, [2]), ids: ints(tokens, [2, 16]) })).logits.data as Float32Array;
  const [conditional, none] = [await rows([0, 2]), await rows([3, 3])];
  const gaps = logits.map((value, i) =>
    Math.abs(value - (3 * (conditional[i] as number) - 2 * (none[i] as number))),
  );
  expect(Math.max(...gaps)).toBeLessThan(1e-3);
  expect(new Set(tokens).size).toBeGreaterThan(3); // it drew, and not one code only
});

it("a picture does not depend on its batch", async () => {
  using model = new RasterModel(description, weights, device);
  const drawn = async (labels: number[], index: number) => {
    const draws = labels.map((_, i) => ({ seed: 3, index: index + i }));
    const request = { labels, seed: 3, draws, options: { cfgScale: 1 }, previews: false };
    let pixels = new Uint8Array(0);
    for await (const event of model.sample(request)) pixels = Uint8Array.from(event.pixels);
    return pixels;
  };
  const both = await drawn([0, 2], 0);
  expect(both.slice(768)).toEqual(await drawn([2], 1));
});

it("learns: a step's loss at first is that of guessing, its gradient reaches every parameter", async () => {
  const frozen = new Map([...weights].filter(([name]) => name.startsWith(tokenizerPrefix)));
  const trainee = rasterTrainee(config, frozen);
  const plan = scalePlan([4]);
  const ids = Uint16Array.from({ length: 8 * 16 }, (_, i) => (i * 7) % 20);
  const tokens = { plan, ids, labels: Int32Array.from({ length: 8 }, (_, i) => i % 3) };
  const task = new ScaleWiseTask(
    trainee.model,
    forcedProgramme(trainee, groundTruth),
    trainee.scope.specs,
    tokens,
    { batchSize: 8, seed: 1, plan: () => plan },
  );
  using program = await compile(task.graph, { device, weights: frozen });
  const first = initialise(trainee.scope.specs, RandomStream.from(1, "test"));
  const out = await program.run(await task.nextBatch({ step: 0, weights: first, device }), first);
  expect(out.loss?.data[0]).toBeCloseTo(Math.log(20), 1);
  const still = [...trainee.scope.specs.keys()].filter(
    (name) => !out[`gradient:${name}`]?.data.some((g) => Number(g) !== 0),
  );
  expect(still).toEqual([]);
  expect([...trainee.scope.specs.keys()].every((name) => name.startsWith(rasterPrefix))).toBe(true);
});

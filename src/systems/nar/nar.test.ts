import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import type { LatticeResult } from "../../decoding/latticeGenerator.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { ParityInputs } from "../../formats/parityCase.ts";
import { openSafetensors } from "../../formats/safetensors.node.ts";
import { toValue } from "../../formats/tensorValue.ts";
import { initialise, parameterCount, Scope, type Weights } from "../../nn/scope.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { int32 } from "../../tensor/tensor.ts";
import { buildNar } from "./build.ts";
import { narModelSchema, transformerSchema, vqSchema } from "./config.ts";
import { type GenerateOptions, generateTokens, inRowMajor } from "./generate.ts";
import { formOf, LatticeTransformer, videoForm } from "./model.ts";
import { NarModel } from "./narModel.ts";
import { narParity } from "./parity.ts";
import { narSystem } from "./system.ts";

const tokenizer = vqSchema.parse({
  ...{ vocabSize: 20, codeWidth: 4, zChannels: 8, ch: 8, numGroups: 2, chMult: [1, 1] },
  ...{ numResBlocks: 1, patchSize: 2, latentSide: 3 },
});
/** Orders; after a dash, whose logits count where heads meet. */
const orders = ["neighbour", "raster", "neighbour-right", "neighbour-below"] as const;
const configOf = (name: (typeof orders)[number]) => {
  const [order, overlap = "average"] = name.split("-");
  return narModelSchema.parse({
    tokenizer,
    transformer: { numClasses: 3, dim: 16, nLayer: 1, nHead: 2, multipleOf: 8, order, overlap },
  });
};
const about = { system: "nar", classNames: ["a", "b", "c"], imageSize: 12 };
const plain: GenerateOptions = { cfgScale: 1, cfgInterval: -1, topK: 0, topP: 0, temperature: 1 };

let device: Device;
let weights: Weights;
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
  const specs = narSystem.parameters({ ...about, config: configOf("neighbour") });
  // The first head begins with zeros; loud weights make every path matter.
  weights = new Map(
    [...initialise(specs, RandomStream.from(1, "test"))].map(([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, 0.4), shape),
    ]),
  );
}, 60_000);

async function generate(order: (typeof orders)[number], labels: number[], options = plain, first = 0) {
  const { transformer } = buildNar(configOf(order));
  using programs = new ProgramStore(weights, device);
  const streams = labels.map((_, i) => RandomStream.from(5, `picture/${first + i}`));
  const results: LatticeResult[] = [];
  const made = generateTokens(transformer, programs, Int32Array.from(labels), options, streams);
  for await (const result of made) results.push(result);
  return { results, tokens: inRowMajor(transformer, results, labels.length) };
}

describe("generation", () => {
  it.each(orders)(
    "with a cache gives the logits of all sites at once, guided: %s",
    async (order) => {
      const { results, tokens } = await generate(order, [0, 2]);
      const { transformer } = buildNar(configOf(order));
      const graph = trace({ labels: int32("B"), ids: int32("B", 9) }, (x) => ({
        logits: transformer.logits(x.labels, x.ids),
      }));
      const rows = async (labels: number[]) => {
        const inputs = { labels: ints(labels, [2]), ids: ints(tokens, [2, 9]) };
        return (await runOnce(graph, inputs, weights, device)).logits?.data as Float32Array;
      };
      const [conditional, none] = [await rows([0, 2]), await rows([3, 3])];
      for (const { group, logits } of results)
        for (let i = 0; i < logits.data.length; i++) {
          const [row, v] = [Math.floor(i / 20), i % 20];
          const site = transformer.plan.sites[group.start + (row % group.size)] as number;
          const at = (Math.floor(row / group.size) * 9 + site) * 20 + v;
          const expected = 2 * (conditional[at] as number) - (none[at] as number);
          expect(Math.abs((logits.data[i] as number) - expected)).toBeLessThan(1e-3);
        }
    },
    60_000,
  );

  it("takes one pass per diagonal, or per site", async () => {
    expect((await generate("neighbour", [1])).results).toHaveLength(5);
    expect((await generate("raster", [1])).results).toHaveLength(9);
  }, 60_000);

  it("does not depend on the other pictures of a batch", async () => {
    const both = await generate("neighbour", [0, 2]);
    const alone = await generate("neighbour", [2], plain, 1);
    expect(both.tokens.subarray(9)).toEqual(alone.tokens);
  }, 60_000);

  it("ends guidance after an interval", async () => {
    const short = await generate("neighbour", [0], { ...plain, cfgScale: 3, cfgInterval: 0, temperature: 0 });
    const free = await generate("neighbour", [0], { ...plain, cfgScale: 0, temperature: 0 });
    const logits = ({ results }: typeof short, i: number) => results[i]?.logits.data;
    expect(logits(short, 0)).not.toEqual(logits(free, 0));
    if (short.results[0]?.tokens[0] === free.results[0]?.tokens[0])
      for (const [i, value] of (logits(free, 1) ?? []).entries())
        expect(logits(short, 1)?.[i]).toBeCloseTo(value, 4);
  }, 60_000);
});

it("an opened model follows seeds, previews every group, and stops at a signal", async () => {
  const config = configOf("neighbour");
  using model = new NarModel({ ...about, config }, config, weights, device);
  const last = async (seed: number, signal?: AbortSignal) => {
    const request = { labels: [0, undefined], seed, options: {}, previews: true };
    let [seen, pixels] = [0, new Uint8Array(0)];
    for await (const event of model.sample({ ...request, ...(signal && { signal }) }))
      [seen, pixels] = [seen + 1, Uint8Array.from(event.pixels)];
    expect(seen).toBe(5);
    return pixels;
  };
  expect(await last(1)).toEqual(await last(1));
  expect(await last(1)).not.toEqual(await last(2));
  await expect(last(1, AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
}, 60_000);

it("NAR-B and NAR-L have the published numbers of parameters", () => {
  const millions = (sizes: object) => {
    const config = narModelSchema.parse({ tokenizer: {}, transformer: transformerSchema.parse(sizes) });
    const specs = [...narSystem.parameters({ ...about, config })];
    return Math.floor(parameterCount(new Map(specs.filter(([name]) => name.startsWith("nar.")))) / 1e6);
  };
  expect(millions({})).toBe(130);
  expect(millions({ dim: 1024, nLayer: 24, nHead: 16 })).toBe(372);
}, 60_000);

it("reference pictures need not be square", async () => {
  const folder = fileURLToPath(new URL("../../../test/fixtures/golden/nar/", import.meta.url));
  const parityCase = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
  await using file = await openSafetensors(join(folder, parityCase.weights));
  const weights = new Map<string, Value>();
  for (const name of file.tensors.keys()) weights.set(name, toValue(await file.read(name)));
  using table = narParity(parityCase, weights, await openCpu({ threads: 1 }));
  const image = floats(RandomStream.from(1, "image").normals(2 * 3 * 16 * 24, 1), [2, 3, 16, 24]);
  const inputs: ParityInputs = {
    tensor: () => image,
    args: { model: "vq" },
    wanted: [],
    related: () => inputs,
  };
  const shapeOf = async (run: string, name: string) => (await table[run]?.(inputs))?.[name]?.shape;
  expect(await shapeOf("encode-features", "features")).toEqual([2, 12, 8, 12]);
  expect(await shapeOf("loss", "total")).toEqual([]);
  expect(await shapeOf("loss-grad", "loss")).toEqual([]);
});

describe("forms of references", () => {
  const config = transformerSchema.parse({ numClasses: 3, dim: 16, nLayer: 2, nHead: 2, multipleOf: 8 });

  it.each([0, 1, 2])("%s layers lie between both heads", (below) => {
    const scope = Scope.root("");
    const model = new LatticeTransformer(scope, config, 5, formOf(config, 3, below));
    trace({ labels: int32("B"), ids: int32("B", 9) }, (x) => ({ logits: model.logits(x.labels, x.ids) }));
    const layers = [...scope.specs.keys()].filter((name) => name.endsWith("attention_norm.weight"));
    expect(layers).toHaveLength(2 + below);
    expect(model.layers).toBe(2 + below);
  });

  it("videos count the guided tokens as pictures do, and take heads of any width", async () => {
    const folder = fileURLToPath(new URL("../../../test/fixtures/golden/nar/", import.meta.url));
    const parityCase = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
    parityCase.config.video.n_head = 4; // of 6 channels
    await using file = await openSafetensors(join(folder, parityCase.weights));
    const weights = new Map<string, Value>();
    for (const name of file.tensors.keys()) weights.set(name, toValue(await file.read(name)));
    using table = narParity(parityCase, weights, await openCpu({ threads: 1 }));
    const logitsOf = async (interval: number, scale: number) => {
      const args = { model: "video", cfg_scale: scale, cfg_interval: interval };
      const inputs: ParityInputs = { tensor: () => ints([1], [1]), args, wanted: [], related: () => inputs };
      return (await table["sample-greedy"]?.(inputs))?.logits as Value;
    };
    // Groups of 2 x 3 x 3 sites start at 0, 1, 4, ...: with an interval of 3, the third one is no longer guided.
    const [guided, plain] = [await logitsOf(3, 4), await logitsOf(-1, 1)];
    const width = guided.shape[2] as number;
    const firstSites = ({ data }: Value, from: number, to: number) => data.slice(from * width, to * width);
    expect(firstSites(guided, 0, 1)).not.toEqual(firstSites(plain, 0, 1));
    expect(await logitsOf(4, 4)).not.toEqual(guided);
  }, 60_000);

  it("of given frames all places see the first token alone", () => {
    const form = videoForm(config, [1, 2, 2], { given: 3 });
    const model = new LatticeTransformer(Scope.root(""), config, 5, form);
    const rows = Array.from({ length: 7 }, (_, i) => [...model.hidden().subarray(7 * i, 7 * i + 7)].join(""));
    expect(rows).toEqual(["0111111", "0111111", "0111111", "0110111", "0110001", "0110001", "0110000"]);
  });
});

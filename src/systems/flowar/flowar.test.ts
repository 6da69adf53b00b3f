import { beforeAll, describe, expect, it } from "vitest";
import type { LatentCodec } from "../../codec/types.ts";
import {
  generateScales,
  integrateScale,
  type ScaleGeneration,
  type ScaleResult,
} from "../../decoding/flowScaleGenerator.ts";
import { linspace } from "../../decoding/flowSolvers.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import { placeRotation } from "../../nn/rotary.ts";
import { initialise, Scope, type Weights } from "../../nn/scope.ts";
import { timeWaves } from "../../nn/timeEmbedding.ts";
import type { Scale } from "../../plan/types.ts";
import { drawFromSet } from "../../regimen/latentSet.ts";
import { LatentTask } from "../../regimen/latentTask.ts";
import { joinParts, runOnce } from "../../regimen/parityTools.ts";
import { Trainer } from "../../regimen/trainer.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32, int32 } from "../../tensor/tensor.ts";
import { buildFlowAr } from "./build.ts";
import { type FlowArModelConfig, flowArModelSchema, transformerSchema } from "./config.ts";
import { FlowArModel, officialTimes } from "./flowArModel.ts";
import { flowVelocity } from "./flowHead.ts";
import { flowArLoss, flowArSpecs, timeInputs } from "./objective.ts";
import { flowArRecipeSchema, flowArRecipes } from "./recipe.ts";
import { flowArTrainee } from "./stages.ts";
import { flowArSystem } from "./system.ts";

const tokenizer = {
  ...{ zChannels: 3, ch: 4, numGroups: 2, chMult: [1, 1], numResBlocks: 1, patchSize: 2 },
  ...{ latentSide: 4, scaleFactor: null },
};
const configOf = (flowCross: boolean) =>
  flowArModelSchema.parse({
    tokenizer,
    transformer: {
      ...{ numClasses: 3, patchNums: [1, 2, 4], latentWidth: 3, embedDim: 16 },
      ...{ encoderDepth: 1, encoderNumHeads: 2, decoderDepth: 1, decoderNumHeads: 1 },
      ...{ flowDepth: 1, flowWidth: 16, flowCross },
    },
  });
const about = { system: "flowar", classNames: ["a", "b", "c"], imageSize: 16 };
const heads = [
  ["modulated", false],
  ["cross", true],
] as const;

/** The flow's last layer begins with zeros; loud weights make every path matter. */
function loudWeights(config: FlowArModelConfig): Weights {
  const specs = flowArSystem.parameters({ ...about, config });
  const drawn = [...initialise(specs, RandomStream.from(1, "test"))].map(([name, { data, shape }]) => {
    const loud = RandomStream.from(2, name).normals(data.length, 0.3);
    return [name, floats(name === "vae.scale_factor" ? [0.5] : loud, shape)] as const;
  });
  return new Map(drawn);
}

let device: Device;
const weightsOf = new Map<boolean, Weights>();
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
  for (const [, cross] of heads) weightsOf.set(cross, loudWeights(configOf(cross)));
}, 60_000);

const weights = (cross = false) => weightsOf.get(cross) as Weights; // set above

const options: ScaleGeneration = {
  ...{ cfgScale: 1.5, cfgRamp: true, guidanceHigh: 0.7, times: linspace(1, 0, 4) },
};

/** Noise of a scale for pictures `first` onwards. */
const noiseFor =
  (count: number, first = 0) =>
  ({ size, index }: Scale): Value => {
    const rows = Array.from({ length: count }, (_, i) => [
      ...RandomStream.from(7, `${first + i}/${index}`).normals(size * 3),
    ]);
    return floats(rows.flat(), [count, size, 3]);
  };

async function generate(labels: number[], given = options, cross = false, first = 0): Promise<ScaleResult[]> {
  using programs = new ProgramStore(weights(cross), device);
  const { model } = buildFlowAr(configOf(cross));
  const results: ScaleResult[] = [];
  const noise = noiseFor(labels.length, first);
  for await (const result of generateScales(model, programs, Int32Array.from(labels), given, noise))
    results.push(result);
  return results;
}

function gap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0);
}

describe("generation", () => {
  it.each(heads)("with a cache gives the conditions of all scales at once, guided: %s", async (_, cross) => {
    const results = await generate([0, 2], options, cross);
    const { model } = buildFlowAr(configOf(cross));
    const { length, groups } = model.plan;
    const graph = trace({ labels: int32("B"), inputs: float32("B", length - 1, 3) }, (x) => ({
      z: model.taught(x.labels, x.inputs),
    }));
    // inputs of the taught pass from the generated maps: what the last matrix of each transition makes of them
    const inputs = results.slice(0, -1).map(({ values, group }, i) => {
      const next = groups[i + 1] as Scale; // one more scale than transitions
      const matrix = model.inputMatrix(group.side, next.side);
      const out = new Float32Array(2 * next.size * 3);
      for (let b = 0; b < 2; b++)
        for (let m = 0; m < next.size; m++)
          for (let c = 0; c < 3; c++)
            for (let n = 0; n < group.size; n++) {
              const at = (b * next.size + m) * 3 + c;
              out[at] =
                (out[at] as number) +
                (values.data[(b * group.size + n) * 3 + c] as number) * (matrix[n * next.size + m] as number);
            }
      return { data: out, width: next.size * 3 };
    });
    const taught = async (labels: number[]) => {
      const given = { labels: ints(labels, [2]), inputs: floats(joinParts(inputs, 2), [2, length - 1, 3]) };
      return (await runOnce(graph, given, weights(cross), device)).z?.data as Float32Array;
    };
    const expected = [...(await taught([0, 2])), ...(await taught([3, 3]))];
    const z = results.map((result) => ({ data: result.z.data, width: result.group.size * 16 }));
    expect(gap(joinParts(z, 4), expected)).toBeLessThan(2e-4);
  });

  it("does not depend on the other pictures of a batch", async () => {
    const both = await generate([0, 2]);
    const alone = await generate([2], options, false, 1);
    for (const [i, { values }] of alone.entries())
      expect(gap(values.data, both[i]?.values.data.slice(values.data.length) ?? [])).toBeLessThan(1e-4);
  });

  it("begins to guide at the second scale, and everywhere without a ramp", async () => {
    const [ramped, none, constant] = [
      await generate([1]),
      await generate([1], { ...options, cfgScale: 0 }),
      await generate([1], { ...options, cfgRamp: false }),
    ];
    expect(none[0]?.z.shape[0]).toBe(1);
    expect(gap(ramped[0]?.values.data ?? [], none[0]?.values.data ?? [])).toBeLessThan(1e-5);
    expect(gap(ramped[1]?.values.data ?? [], none[1]?.values.data ?? [])).toBeGreaterThan(1e-3);
    expect(gap(constant[0]?.values.data ?? [], none[0]?.values.data ?? [])).toBeGreaterThan(1e-3);
  });

  it("guides a model of one scale where guidance is no ramp", async () => {
    const whole = configOf(false);
    const config = {
      tokenizer: { ...whole.tokenizer, latentSide: 1 },
      transformer: { ...whole.transformer, patchNums: [1] },
    };
    using programs = new ProgramStore(loudWeights(config), device);
    const { model } = buildFlowAr(config);
    const first = async (cfgScale: number) => {
      const given = { ...options, cfgScale, cfgRamp: false };
      for await (const { values } of generateScales(model, programs, Int32Array.of(1), given, noiseFor(1)))
        return values.data;
      return [];
    };
    expect(gap(await first(1.5), await first(0))).toBeGreaterThan(1e-3);
  });

  it("has unconditional rows wherever guidance is not 0, and below 0 they change nothing", async () => {
    const [below, none] = [
      await generate([1], { ...options, cfgScale: -0.5 }),
      await generate([1], { ...options, cfgScale: 0 }),
    ];
    expect(below.map(({ z }) => z.shape[0])).toEqual([2, 2, 2]);
    for (const [i, { values }] of below.entries())
      expect(gap(values.data, none[i]?.values.data ?? [])).toBeLessThan(1e-5);
  });

  it("of one time takes no step: the noise comes back", async () => {
    const noise = noiseFor(1);
    for (const { values, group } of await generate([1], { ...options, times: officialTimes(1) }))
      expect(values).toEqual(noise(group));
  });

  it.each([
    ["sides that repeat and shrink", { patchNums: [1, 4, 2, 2, 4] }],
    ["one empty stack", { encoderDepth: 0 }],
    ["no blocks at all", { encoderDepth: 0, decoderDepth: 0, flowDepth: 0 }],
  ])("is possible with %s", async (_, over) => {
    const config = flowArModelSchema.parse({
      tokenizer,
      transformer: { ...configOf(false).transformer, ...over },
    });
    const own = initialise(flowArSystem.parameters({ ...about, config }), RandomStream.from(1, "odd"));
    using programs = new ProgramStore(own, device);
    const { model } = buildFlowAr(config);
    const results: ScaleResult[] = [];
    for await (const result of generateScales(model, programs, Int32Array.from([0]), options, noiseFor(1)))
      results.push(result);
    expect(results.map(({ group }) => group.side)).toEqual(config.transformer.patchNums);
    using opened = new FlowArModel({ ...about, config }, config, own, device);
    const request = { labels: [1], seed: 1, options: { steps: 2 }, previews: true };
    for await (const { pixels } of opened.sample(request)) expect(pixels).toHaveLength(16 * 16 * 3);
  });

  it("a scale's integration is unguided above the interval's end", async () => {
    const { model } = buildFlowAr(configOf(false));
    using programs = new ProgramStore(weights(), device);
    const scale = model.plan.groups[1] as Scale; // three scales
    const z = floats(RandomStream.from(3, "z").normals(2 * 4 * 16), [2, 4, 16]);
    const flow = { scale, noise: noiseFor(1)(scale), z, pictures: 1 };
    const solve = async (weight: number, guidanceHigh: number) =>
      (await integrateScale(model, programs, { ...flow, weight }, { times: options.times, guidanceHigh }))
        .data;
    expect(gap(await solve(3, -1), await solve(1, 1))).toBe(0);
    expect(gap(await solve(3, 1), await solve(1, 1))).toBeGreaterThan(1e-3);
    expect(gap(await solve(3, 1), await solve(3, 0.7))).toBeGreaterThan(1e-4);
  });

  it("official times end at 0, half of them above 0.3; an odd number makes one step fewer", () => {
    expect(officialTimes(50)).toHaveLength(51);
    expect(officialTimes(25)).toHaveLength(25);
    expect(officialTimes(10).map((t) => Number(t.toFixed(4)))).toEqual([
      1, 0.825, 0.65, 0.475, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0,
    ]);
    expect(officialTimes(2)).toEqual([1, 0.25, 0]);
    for (const steps of [16, 30]) expect(officialTimes(steps)).toContain(0.7000000000000001);
    expect(officialTimes(6)).toContain(0.6499999999999999);
  });
});

describe("the objective", () => {
  it.each(heads)("of all scales at once is that of every scale alone: %s", async (_, cross) => {
    const { model } = buildFlowAr(configOf(cross));
    const stream = RandomStream.from(4, "objective");
    const [times, { length, groups }] = [Float32Array.from([0.9, 0.5, 0.1]), model.plan];
    const graph = trace(flowArSpecs(model), (inputs) => {
      const { loss, groupLosses } = flowArLoss(model, inputs);
      return { loss, groupLosses };
    });
    const given = {
      ...{ labels: ints([1], [1]), latents: floats(stream.normals(48), [1, 3, 4, 4]) },
      ...{ noise: floats(stream.normals(length * 3), [1, length, 3]), ...timeInputs(times, 3) },
    };
    const { loss, groupLosses } = await runOnce(graph, given, weights(cross), device);
    const weighted = Array.from(groupLosses?.data ?? []).map((own, i) => (own * (groups[i]?.size ?? 0)) / 16);
    expect(weighted.reduce((a, b) => a + b, 0)).toBeCloseTo(loss?.data[0] as number, 4);
    // the last scale's loss from its velocities alone
    const parts = trace({ latents: float32("B", 3, 4, 4), labels: int32("B") }, (x) => {
      const { targets, inputs } = model.teacher(x.latents);
      return { targets, z: model.taught(x.labels, inputs) };
    });
    const whole = await runOnce(
      parts,
      { latents: given.latents, labels: given.labels },
      weights(cross),
      device,
    );
    const last = groups[2] as Scale; // three scales
    const rows = ({ data, shape: [, , width = 0] }: Value) =>
      (data as Float32Array).subarray(last.start * width, (last.start + last.size) * width);
    const [data, noise] = [rows(whole.targets as Value), rows(given.noise)];
    const x = data.map((value, i) => 0.9 * value + 0.1 * (noise[i] as number));
    using programs = new ProgramStore(weights(cross), device);
    const z = floats(rows(whole.z as Value), [1, last.size, 16]);
    const flow = { scale: last, noise: floats(x, [1, last.size, 3]), z, pictures: 1, weight: 1 };
    // one Euler step of length 1 from x gives x - velocity
    const end = await integrateScale(model, programs, flow, { times: [0.1, -0.9], guidanceHigh: 1 });
    const error = x.reduce((sum, value, i) => {
      const velocity = value - (end.data[i] as number);
      return sum + (velocity - ((noise[i] as number) - (data[i] as number))) ** 2;
    }, 0);
    expect(error / x.length / (groupLosses?.data[2] as number)).toBeCloseTo(1, 3);
  });
});

describe("training", () => {
  const description = { ...about, config: configOf(false) };
  const latents = {
    shape: [3, 4, 4] as const,
    mean: RandomStream.from(5, "latents").normals(8 * 48),
    deviation: new Float32Array(8 * 48).fill(0.1),
    labels: Int32Array.from({ length: 8 }, (_, i) => i % 3),
  };
  const trainer = async (from?: Parameters<typeof Trainer.create>[3]) => {
    const { programme, conditioner, condDropRate } = flowArTrainee(description, device);
    const options = { batchSize: 4, seed: 3, conditioner, condDropRate, initial: new Map() };
    const schedule = { name: "constant" as const, peak: 1e-3, steps: 4, warmup: 0, end: 1 };
    const optimizer = {
      beta1: 0.9,
      beta2: 0.95,
      eps: 1e-8,
      weightDecay: 0,
      clipNorm: 3,
      undecayed: () => false,
    };
    return Trainer.create(
      new LatentTask(programme, latents, options),
      { schedule, optimizer, accumulate: 1, emaDecay: 0.9 },
      device,
      from ?? RandomStream.from(1, "train/init"),
    );
  };

  it("goes on bit by bit after a restart", async () => {
    using whole = await trainer();
    for (let i = 0; i < 4; i++) await whole.advance();
    using first = await trainer();
    for (let i = 0; i < 2; i++) await first.advance();
    using second = await trainer(first.snapshot());
    for (let i = 0; i < 2; i++) await second.advance();
    for (const [name, { data }] of whole.best) expect(second.best.get(name)?.data).toEqual(data);
  }, 120_000);

  it("draws latents around their means", () => {
    const drawn = drawFromSet(latents, [1], RandomStream.from(1, "draw")).data;
    const gaps = Array.from(drawn, (value, i) => (value - (latents.mean[48 + i] as number)) / 0.1);
    expect(Math.sqrt(gaps.reduce((sum, g) => sum + g * g, 0) / 48)).toBeGreaterThan(0.7);
    const { deviation: _, ...exact } = latents;
    expect(drawFromSet(exact, [1], RandomStream.from(1, "draw")).data).toEqual(latents.mean.slice(48, 96));
  });
});

describe("an opened model", () => {
  const description = { ...about, config: configOf(false) };
  it("follows seeds, shows every scale, and stops at a signal", async () => {
    using model = new FlowArModel(description, configOf(false), weights(), device);
    const last = async (seed: number, steps: number, signal?: AbortSignal) => {
      const request = { labels: [0, undefined], seed, options: { steps }, previews: true };
      let [seen, pixels] = [0, new Uint8Array(0)];
      for await (const event of model.sample({ ...request, ...(signal && { signal }) })) {
        [seen, pixels] = [seen + 1, Uint8Array.from(event.pixels)];
        expect(event.ids).toEqual([]);
      }
      expect(seen).toBe(3);
      return pixels;
    };
    expect(await last(1, 4)).toEqual(await last(1, 4));
    expect(await last(1, 4)).not.toEqual(await last(2, 4));
    expect(await last(1, 4)).not.toEqual(await last(1, 6));
    await expect(last(1, 4, AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
    await expect(
      model.sample({ labels: [4], seed: 1, options: {}, previews: false }).next(),
    ).rejects.toMatchObject({ code: "LABEL_OUT_OF_RANGE" });
  });

  it("takes any codec for its own", async () => {
    const seen: number[][] = [];
    const external: LatentCodec = {
      ...{ width: 3, side: 4, imageSize: 16 },
      encode: async ({ shape: [n = 0] }) => ({ mean: floats(new Float32Array(n * 48), [n, 3, 4, 4]) }),
      decode: async ({ shape }) => {
        seen.push([...shape]);
        const [n = 0] = shape;
        return floats(new Float32Array(n * 3 * 256).fill(1), [n, 3, 16, 16]);
      },
    };
    using model = new FlowArModel(description, configOf(false), weights(), device, external);
    let pixels = new Uint8Array(0);
    for await (const event of model.sample({ labels: [1], seed: 1, options: { steps: 2 }, previews: false }))
      pixels = Uint8Array.from(event.pixels);
    expect(seen).toEqual([[1, 3, 4, 4]]);
    expect(pixels.every((byte) => byte === 255)).toBe(true);
    expect((await model.reconstruct(pixels)).every((byte) => byte === 255)).toBe(true);
  });

  it("counts a pass of the transformer, and the flow's layers of every step", () => {
    expect(flowArSystem.tokensPerPicture?.(description, { steps: 10 })).toBe(21 * (1 + 10 / 2));
  });
});

it("recipes are valid, and a map of another side than the autoencoder's is not", () => {
  for (const { recipe } of Object.values(flowArRecipes)) flowArRecipeSchema.parse(recipe);
  const recipe = structuredClone(flowArRecipes.smoke.recipe) as { transformer: { patchNums: number[] } };
  recipe.transformer.patchNums = [1, 2, 8];
  expect(flowArRecipeSchema.safeParse(recipe).error?.issues[0]?.path).toEqual(["transformer", "patchNums"]);
  expect(transformerSchema.safeParse({ patchNums: [2, 4] }).success).toBe(false);
});

it("the flow head's velocities may be of another width than its latents", () => {
  const { transformer } = configOf(false);
  const specs = { x: float32("B", 1, 3), z: float32("B", 1, 16), waves: float32("B", 1, timeWaves) };
  const { outputs } = trace(specs, ({ x, z, waves }) => ({
    v: flowVelocity(Scope.root(), { ...transformer, velocityWidth: 5 }, x, z, waves, {
      rotation: (width) => placeRotation([[0, 0]], width),
    }),
  }));
  expect(outputs.v?.shape.at(-1)).toBe(5);
});

it("a sampled scale becomes the next input by way of the side that was asked for", () => {
  const { model } = buildFlowAr(configOf(false));
  expect(model.inputMatrix(1, 2)).toEqual(model.inputMatrix(1, 2, model.side));
  const [own, official] = [model.inputMatrix(2, 3), model.inputMatrix(2, 3, 16)];
  expect(own).not.toEqual(official);
  const sums = (matrix: Float32Array) => matrix.reduce((a, b) => a + b, 0);
  expect(sums(official)).toBeCloseTo(sums(own), 4); // both keep constants
});

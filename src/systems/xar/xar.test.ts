import { beforeAll, describe, expect, it } from "vitest";
import { cleanPast, noisyPasts, randomNoise } from "../../context/noisyPast.ts";
import { openImageSet } from "../../data/imageSets.node.ts";
import { FlowGroupDecoder } from "../../decoding/flowGroupGenerator.ts";
import { streamNoise } from "../../decoding/flowPaths.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import { initialise, parameterCount, type Weights } from "../../nn/scope.ts";
import { type EntityKind, entityKinds } from "../../plan/entities.ts";
import type { Group } from "../../plan/types.ts";
import { klSchema } from "../../regimen/klConfig.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import type { Stage } from "../../regimen/system.ts";
import { Trainer } from "../../regimen/trainer.ts";
import { openCpu } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { buildXar } from "./build.ts";
import { officialSizes, transformerSchema, xarModelSchema } from "./config.ts";
import { type GenerateOptions, generateEntities } from "./generate.ts";
import { flowObjective, flowSpecs, stepValues, timeValues } from "./objective.ts";
import { xarRecipes } from "./recipe.ts";
import { xarSystem } from "./system.ts";
import { XarModel } from "./xarModel.ts";

const tokenizer = klSchema.parse({
  ...{ zChannels: 2, ch: 8, numGroups: 2, chMult: [1, 1], numResBlocks: 1, patchSize: 2, latentSide: 4 },
  scaleFactor: null,
});
const configOf = (entity: EntityKind) =>
  xarModelSchema.parse({
    tokenizer,
    transformer: {
      ...{ numClasses: 3, embedDim: 16, entity, parts: 2 },
      ...{ encoderDepth: 1, encoderNumHeads: 2, decoderDepth: 1, decoderNumHeads: 2 },
    },
  });
const about = { system: "xar", classNames: ["a", "b", "c"], imageSize: 16 };
const options: GenerateOptions = { cfgScale: 1.5, solver: "euler-maruyama", steps: 3 };

let device: Device;
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
}, 60_000);

/** Loud weights make every path matter. */
function weightsOf(entity: EntityKind): Weights {
  const specs = xarSystem.parameters({ ...about, config: configOf(entity) });
  return new Map(
    [...initialise(specs, RandomStream.from(1, "test"))].map(([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, 0.3), shape),
    ]),
  );
}

async function generate(labels: number[], over: Partial<GenerateOptions> = {}, first = 0) {
  const { transformer } = buildXar(configOf("cell"));
  using programs = new ProgramStore(weightsOf("cell"), device);
  const streams = labels.map((_, i) => RandomStream.from(5, `picture/${first + i}`));
  const noise = streamNoise(transformer.valueWidth, streams);
  const given = { ...options, ...over };
  const sequences: Float32Array[] = [];
  for await (const { sequence } of generateEntities(
    transformer,
    programs,
    Int32Array.from(labels),
    given,
    noise,
  ))
    sequences.push(sequence.slice());
  return { transformer, sequences, last: sequences.at(-1) as Float32Array };
}

describe.each(entityKinds)("%s", (entity) => {
  const { transformer: model } = buildXar(configOf(entity));
  const { plan, valueWidth } = model;
  const length = plan.length * valueWidth;
  const stream = RandomStream.from(3, entity);
  const [clean, noisy] = [stream.normals(2 * length), stream.normals(2 * length)];
  const part = ({ start, size }: Group, of: Float32Array) =>
    Float32Array.from(
      [0, 1].flatMap((b) => {
        const from = b * length + start * valueWidth;
        return Array.from(of.subarray(from, from + size * valueWidth));
      }),
    );

  /** Velocities of a group at time 0.4 from the objective, with clean latents before it. */
  async function trained(group: Group, past: typeof cleanPast, weights: Weights): Promise<Float32Array> {
    const shape = [2, plan.length, valueWidth];
    const times = Float32Array.from({ length: 2 * plan.groups.length }, (_, i) => {
      const index = i % plan.groups.length;
      return past.cleanCopy || index === group.index ? 0.4 : index < group.index ? 0 : 0.9;
    });
    const graph = trace(flowSpecs(model, past), (inputs) => ({
      velocity: flowObjective(model, past, inputs).velocity,
    }));
    const given = {
      ...{ labels: ints([0, 3], [2]), latents: floats(clean, shape), noise: floats(noisy, shape) },
      ...timeValues(plan, past, times),
    };
    const out = await runOnce(graph, given, weights, device);
    return part(group, out.velocity?.data as Float32Array);
  }

  it("a cached pass is the whole forward over clean entities at time 0, and teacher forcing's", async () => {
    const weights = weightsOf(entity);
    using programs = new ProgramStore(weights, device);
    const decoder = new FlowGroupDecoder(model, programs, Int32Array.of(0, 3), 1);
    const checked = plan.groups.length > 5 ? [0, 1, plan.groups.length - 1] : plan.groups.map((_, i) => i);
    for (const group of plan.groups) {
      const state = part(group, clean).map((x, i) => 0.6 * x + 0.4 * (part(group, noisy)[i] as number));
      if (checked.includes(group.index)) {
        const first = (await decoder.velocity(group, state, 400)).conditional;
        const again = (await decoder.velocity(group, state, 400)).conditional; // everything before is cached now
        for (const past of [randomNoise, cleanPast]) {
          const expected = await trained(group, past, weights);
          for (const [i, value] of expected.entries()) {
            expect(Math.abs((first[i] as number) - value)).toBeLessThan(2e-4);
            expect(Math.abs((again[i] as number) - value)).toBeLessThan(2e-4);
          }
        }
      }
      decoder.commit(group, part(group, clean));
    }
  }, 120_000);
});

describe("generation", () => {
  it("does not depend on the other pictures of a batch", async () => {
    const both = await generate([0, 2]);
    const alone = await generate([2], {}, 1);
    const half = both.last.length / 2;
    for (const [i, value] of alone.last.entries()) expect(both.last[half + i]).toBeCloseTo(value, 4);
  }, 60_000);

  it("guides later entities, and not the first", async () => {
    const [guided, free] = [await generate([0]), await generate([0], { cfgScale: 0 })];
    const { plan, valueWidth } = guided.transformer;
    const first = (plan.groups[0] as Group).size * valueWidth;
    for (let i = 0; i < first; i++) expect(guided.last[i]).toBeCloseTo(free.last[i] as number, 4);
    expect(guided.last.slice(first)).not.toEqual(free.last.slice(first));
  }, 60_000);

  it("takes one entity after the other, by either solver, and keeps what is finished", async () => {
    const { sequences, transformer } = await generate([1]);
    expect(sequences).toHaveLength(4);
    const size = (transformer.plan.groups[0] as Group).size * transformer.valueWidth;
    for (const [done, sequence] of sequences.entries())
      expect(sequence.subarray(0, (done + 1) * size)).toEqual(
        sequences.at(-1)?.subarray(0, (done + 1) * size),
      );
    expect((await generate([1], { solver: "euler" })).last).not.toEqual(sequences.at(-1));
  }, 60_000);

  it("refuses classes that do not exist", async () => {
    await expect(generate([4])).rejects.toMatchObject({ code: "LABEL_OUT_OF_RANGE" });
  });
});

it("an opened model follows seeds, previews every entity, and stops at a signal", async () => {
  const config = configOf("cell");
  using model = new XarModel({ ...about, config }, config, weightsOf("cell"), device);
  const last = async (seed: number, signal?: AbortSignal) => {
    const request = { labels: [0, undefined], seed, options: { steps: 2 }, previews: true };
    let [seen, pixels] = [0, new Uint8Array(0)];
    for await (const event of model.sample({ ...request, ...(signal && { signal }) }))
      [seen, pixels] = [seen + 1, Uint8Array.from(event.pixels)];
    expect(seen).toBe(4);
    return pixels;
  };
  expect(await last(1)).toEqual(await last(1));
  expect(await last(1)).not.toEqual(await last(2));
  await expect(last(1, AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
}, 60_000);

it("times of a step are those that the past asks for", () => {
  const { transformer: model } = buildXar(configOf("cell"));
  const latents = floats(new Float32Array(3 * 32), [3, 2, 4, 4]);
  const labels = Int32Array.of(0, 1, 2);
  const timesOf = (name: keyof typeof noisyPasts) => {
    const stream = RandomStream.from(4, "times");
    const { times, waves } = stepValues(model, noisyPasts[name], { labels, latents, stream });
    return {
      waves: waves?.shape[1],
      rows: [0, 1, 2].map((b) => [0, 4, 8, 12].map((site) => times?.data[b * 16 + site] as number)),
    };
  };
  const random = timesOf("random");
  const sorted = (sign: number) => random.rows.map((row) => [...row].sort((a, b) => sign * (a - b)));
  expect(new Set(random.rows.flat()).size).toBe(12);
  expect(timesOf("increasing").rows).toEqual(sorted(1));
  expect(timesOf("decreasing").rows).toEqual(sorted(-1));
  expect([random.waves, timesOf("clean").waves]).toEqual([4, 7]);
});

it("training that was stopped and resumed ends with the same weights", async () => {
  const { recipe } = xarRecipes.smoke;
  const tiny = {
    ...recipe,
    train: { ...recipe.train, transformer: { ...recipe.train.transformer, tokenImages: 16 } },
  };
  const set = await openImageSet("synth", { size: 32, split: "train" });
  const earlier = initialise(
    xarSystem.parameters(xarSystem.describe(tiny, set)),
    RandomStream.from(5, "weights"),
  );
  const stage = xarSystem.stages(tiny).at(-1) as Stage;
  const begin = async () => {
    const context = { device, seed: 3, earlier, readWeights: async () => new Map() };
    return stage.create({
      ...context,
      data: (split) => openImageSet("synth", { size: 32, split }),
      onProgress: () => undefined,
    });
  };
  const init = RandomStream.from(3, "init");
  using whole = await Trainer.create((await begin()).task, stage.options, device, init);
  for (let i = 0; i < 4; i++) await whole.advance();
  using before = await Trainer.create((await begin()).task, stage.options, device, init);
  for (let i = 0; i < 2; i++) await before.advance();
  using after = await Trainer.create((await begin()).task, stage.options, device, before.snapshot());
  for (let i = 0; i < 2; i++) await after.advance();
  for (const [name, { data }] of whole.weights) expect(after.weights.get(name)?.data, name).toEqual(data);
}, 120_000);

it("xAR-B, L and H have the published numbers of parameters: 172M, 608M, 1.1B", () => {
  const millions = (sizes: object) => {
    const config = xarModelSchema.parse({ tokenizer: {}, transformer: transformerSchema.parse(sizes) });
    const specs = [...xarSystem.parameters({ ...about, config })];
    return Math.floor(parameterCount(new Map(specs.filter(([name]) => name.startsWith("xar.")))) / 1e6);
  };
  expect(Object.values(officialSizes).map(millions)).toEqual([172, 608, 1186]);
}, 60_000);

/** A tiny VAR with drawn weights: what every provider trains, tokenizes and generates with. Runs in Node and in pages. */

import { advanceGraph, decodeGraph, tokenizeGraph } from "../../src/codec/multiScalePrograms.ts";
import { startGraph, stepGraph } from "../../src/decoding/groupPrograms.ts";
import { initialise, type Weights } from "../../src/nn/scope.ts";
import { defaultAdamW } from "../../src/regimen/adamw.ts";
import { tokenizerSchema, transformerSchema } from "../../src/regimen/multiScaleConfig.ts";
import { teacherForcing } from "../../src/regimen/teacherForcedScales.ts";
import { Trainer } from "../../src/regimen/trainer.ts";
import type { Device } from "../../src/runtime/device.ts";
import type { Sizes } from "../../src/runtime/fixedSizes.ts";
import { compile } from "../../src/runtime/program.ts";
import type { Graph } from "../../src/runtime/trace.ts";
import { floats, ints, type Value } from "../../src/runtime/values.ts";
import { VarGenerator } from "../../src/systems/var/generate.ts";
import { varTrainee } from "../../src/systems/var/scaleWise.ts";
import { varSystem } from "../../src/systems/var/system.ts";
import { buildVar } from "../../src/systems/var/varModel.ts";
import { RandomStream } from "../../src/tensor/random.ts";

const patchNums = [1, 2];
const config = {
  tokenizer: tokenizerSchema.parse({
    vocabSize: 12,
    zChannels: 4,
    ch: 4,
    numGroups: 2,
    chMult: [1, 1],
    numResBlocks: 1,
    patchSize: 2,
    patchNums,
  }),
  transformer: transformerSchema.parse({ numClasses: 3, depth: 1, embedDim: 8, numHeads: 2, patchNums }),
};
const description = { system: "var", config, classNames: ["a", "b", "c"], imageSize: 8 };
const BATCH = 2;
const LENGTH = 5;

/** Loud first weights: every path matters to the numbers. */
const weights: Weights = new Map(
  [...initialise(varSystem.parameters(description), RandomStream.from(1, "tiny"))].map(
    ([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, name.includes("ada_lin") ? 0.5 : 0.3), shape),
    ],
  ),
);
const { tokenizer, transformer } = buildVar(config);
const images = floats(RandomStream.from(3, "images").normals(BATCH * 3 * 64, 0.5), [BATCH, 3, 8, 8]);

function training() {
  const frozen = new Map([...weights].filter(([name]) => name.startsWith("vae.")));
  const trainee = varTrainee(tokenizer, frozen, config.transformer);
  return { ...teacherForcing(tokenizer, trainee), parameters: trainee.scope.specs };
}

/** What a provider computed: named numbers to compare, and whole numbers that must agree. */
export interface Computed {
  readonly numbers: Readonly<Record<string, ArrayLike<number>>>;
  readonly ids: Readonly<Record<string, ArrayLike<number>>>;
}

/** Two optimiser steps: losses, norms of the gradients, and the weights after them. */
export async function trainTiny(device: Device): Promise<Computed> {
  const { graph, frozen, parameters } = training();
  const random = RandomStream.from(4, "batch");
  const ids = Int32Array.from({ length: BATCH * LENGTH }, () => random.integer(12));
  const batch = { labels: ints([0, 2], [BATCH]), ids: ints(ids, [BATCH, LENGTH]) };
  const task = {
    graph,
    frozen,
    parameters,
    nextBatch: async () => batch,
    saveState: () => null,
    restoreState: () => undefined,
  };
  const options = {
    schedule: { name: "constant" as const, peak: 0.01, steps: 2, warmup: 0, end: 1 },
    optimizer: { ...defaultAdamW },
    accumulate: 1,
    emaDecay: 0,
  };
  const loud = new Map([...parameters.keys()].map((name) => [name, weights.get(name) as Value])); // the same names
  const from = { step: 0, weights: loud, average: undefined, moments: new Map(), task: null };
  using trainer = await Trainer.create(task, options, device, from);
  const steps = [await trainer.advance(), await trainer.advance()];
  const after = [...trainer.weights.values()].flatMap(({ data }) => Array.from(data));
  return {
    numbers: {
      loss: steps.map(({ loss }) => loss),
      gradientNorm: steps.map(({ gradientNorm }) => gradientNorm),
      weights: after,
    },
    ids: {},
  };
}

/** Cached, guided generation from an empty past, and the pictures. */
export async function generateTiny(device: Device): Promise<Computed> {
  using generator = new VarGenerator(
    tokenizer,
    transformer,
    weights,
    "vae.quantize.embedding.weight",
    device,
  );
  const options = { cfgScale: 2, topK: 0, topP: 0, temperature: 1, smooth: false };
  const streams = [0, 1].map((i) => RandomStream.from(6, `picture/${i}`));
  const numbers: Record<string, ArrayLike<number>> = {};
  const ids: Record<string, ArrayLike<number>> = {};
  let total: Value | undefined;
  for await (const scale of generator.generate(Int32Array.of(0, 2), options, { streams })) {
    numbers[`logits ${scale.group.index}`] = scale.logits.data;
    ids[`tokens ${scale.group.index}`] = scale.tokens;
    total = scale.total;
  }
  numbers.images = (await generator.decode(total as Value)).data; // at least one scale
  return { numbers, ids };
}

/** Pictures to ids and back to features. */
export async function tokenizeTiny(device: Device): Promise<Computed> {
  using encode = await compile(tokenizeGraph(tokenizer), { device, weights });
  const { ids, reconstructions } = await encode.run({ images });
  using decode = await compile(decodeGraph(tokenizer), { device, weights });
  const features = floats((reconstructions.data as Float32Array).slice(-BATCH * 4 * 4), [BATCH, 4, 2, 2]);
  const pictures = (await decode.run({ features })).images.data;
  return { numbers: { reconstructions: reconstructions.data, images: pictures }, ids: { ids: ids.data } };
}

/** Every graph of the above with sizes, to see on which provider each of its ops runs. */
export function tinyGraphs(): readonly (readonly [string, Graph, Sizes])[] {
  const sizes = (of: Record<string, number>): Sizes => new Map(Object.entries(of));
  return [
    ["training step", training().graph, sizes({ B: BATCH })],
    ["generation start", startGraph(transformer, 2, 1), sizes({ B: BATCH })],
    ["generation step", stepGraph(transformer, 2), sizes({ B: BATCH, N: 4, M: 1 })],
    ["generation advance", advanceGraph(tokenizer, transformer), sizes({ N: 1, K: 4, B: BATCH })],
    ["tokenizer encode", tokenizeGraph(tokenizer), sizes({ B: BATCH })],
    ["tokenizer decode", decodeGraph(tokenizer), sizes({ B: BATCH })],
  ];
}

export const tinyWeights = weights;

/** @throws Error that names the first thing in which two computations differ */
export function expectSame(actual: Computed, expected: Computed, tolerance: number): void {
  for (const [name, wanted] of Object.entries(expected.ids)) {
    if (String(actual.ids[name]) !== String(wanted))
      throw new Error(`${name}: ${actual.ids[name]}, expected ${wanted}`);
  }
  for (const [name, wanted] of Object.entries(expected.numbers)) {
    const got = actual.numbers[name];
    if (got?.length !== wanted.length)
      throw new Error(`${name} has ${got?.length} numbers, expected ${wanted.length}`);
    const scale = Array.from(wanted).reduce((top, value) => Math.max(top, Math.abs(value)), 1);
    for (let i = 0; i < wanted.length; i++) {
      const [a, b] = [got[i] as number, wanted[i] as number];
      if (!(Math.abs(a - b) <= tolerance * scale)) throw new Error(`${name}[${i}] is ${a}, expected ${b}`);
    }
  }
}

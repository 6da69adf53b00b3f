/** A tiny FlexVAR with loud random weights for the tests. */
import { initialise, type Weights } from "../../../nn/scope.ts";
import { floats } from "../../../runtime/values.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tokenizerSchema, transformerSchema } from "../config.ts";
import { type SarModelConfig, transformerPrefix } from "../sarModel.ts";
import { sarTrainee } from "../stages.ts";
import { sarSystem } from "../system.ts";

export const patchNums = [1, 2, 4];

export const tinyConfig: SarModelConfig = {
  tokenizer: tokenizerSchema.parse({
    vocabSize: 20,
    codeWidth: 4,
    zChannels: 8,
    ch: 8,
    numGroups: 2,
    encoderChMult: [1, 1],
    decoderChMult: [1, 1],
    numResBlocks: 1,
    patchSize: 2,
    latentSide: 4,
  }),
  transformer: transformerSchema.parse({
    numClasses: 3,
    depth: 2,
    embedDim: 16,
    numHeads: 2,
    patchNums,
    positionSide: 8,
    sampledSides: [1, 2, 3, 4],
  }),
};

export const tinyDescription = {
  system: "sar",
  config: tinyConfig,
  classNames: ["a", "b", "c"],
  imageSize: 16,
};

/** Official first gates are tiny; loud ones make every path matter. */
export function tinyWeights(): Weights {
  const drawn = initialise(sarSystem.parameters(tinyDescription), RandomStream.from(1, "test"));
  return new Map(
    [...drawn].map(([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, name.includes("ada_lin") ? 0.5 : 0.3), shape),
    ]),
  );
}

/** The transformer as training sees it, with the tokenizer's weights frozen. */
export function tinyTrainee(weights: Weights) {
  const frozen = new Map([...weights].filter(([name]) => !name.startsWith(transformerPrefix)));
  const trained = new Map([...weights].filter(([name]) => name.startsWith(transformerPrefix)));
  return { ...sarTrainee(tinyConfig, frozen), trained };
}

/** Random tokens. */
export function randomTokens(count: number, seed: number): Int32Array {
  const stream = RandomStream.from(seed, "tokens");
  return Int32Array.from({ length: count }, () => stream.integer(20));
}

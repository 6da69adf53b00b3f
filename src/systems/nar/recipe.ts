/**
 * NAR's training programme as data: the tokenizer, then the transformer on its tokens. Keys are the field's words; a
 * command-line flag is the path of a key (`--train-transformer-steps`).
 */
import { z } from "zod";
import { downsampleFactor } from "../../nn/convAutoencoder.ts";
import {
  dataSchema,
  pixelStageFields,
  restartFields,
  stageFields as stage,
  stepCount,
  tokenImages,
} from "../../regimen/stageRecipe.ts";
import { recipeTransformerSchema, vqSchema } from "./config.ts";

const lossSchema = z.strictObject({
  l1: z.number().min(0).max(100).default(1),
  l2: z.number().min(0).max(100).default(1),
});

/** code: `vq_train.py`; learning rate, pixel terms and restarts are ours. */
const tokenizerStage = z.strictObject({
  ...pixelStageFields,
  loss: lossSchema.prefault({}),
  ...restartFields,
});

/** code: `train_c2i.py`; learning rate and its schedule are those of small models, ours (officially 1e-4, three drops by 0.2). */
const transformerStage = z.strictObject({
  steps: stepCount.default(3000),
  ...stage,
  batchSize: stage.batchSize.default(64),
  learningRate: stage.learningRate.default(1e-3),
  schedule: stage.schedule.default("cosine"),
  warmup: stage.warmup.default(120),
  end: stage.end.default(0.01),
  weightDecay: stage.weightDecay.default(0.05),
  beta2: stage.beta2.default(0.95),
  clipNorm: stage.clipNorm.default(1),
  emaDecay: stage.emaDecay.default(0.999),
  tokenImages,
});

/** Maps have the side that the data's size asks for. */
export const narRecipeSchema = z
  .strictObject({
    system: z.literal("nar").default("nar"),
    seed: z.int().min(0).default(1),
    data: dataSchema,
    tokenizer: vqSchema,
    transformer: recipeTransformerSchema,
    train: z.strictObject({
      tokenizer: tokenizerStage.prefault({}),
      transformer: transformerStage.prefault({}),
    }),
  })
  .refine(({ data, tokenizer }) => data.size === tokenizer.latentSide * downsampleFactor(tokenizer), {
    error: "latentSide times the pixels per site must be data.size",
    path: ["tokenizer", "latentSide"],
  });

export type NarRecipe = z.infer<typeof narRecipeSchema>;

const smallTokenizer = {
  ...{ vocabSize: 512, codeWidth: 16, zChannels: 32, ch: 40, numGroups: 8 },
  ...{ chMult: [1, 2], numResBlocks: 1, patchSize: 2, latentSide: 8 },
};

export const narRecipes = {
  "synth-32": {
    description: "NAR on the procedural stickers, 16 classes, 32 px, 64 tokens in 15 diagonals.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smallTokenizer,
      transformer: { dim: 96, nLayer: 5, nHead: 6, multipleOf: 16 },
      train: { tokenizer: { steps: 4000 }, transformer: { steps: 4000 } },
    },
  },
  smoke: {
    description: "A tiny NAR that trains in under a minute: to see everything run, not to look good.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: {
        ...smallTokenizer,
        ...{ vocabSize: 64, codeWidth: 8, zChannels: 16, ch: 16, numGroups: 4 },
        ...{ patchSize: 4, chMult: [1, 1], latentSide: 4 },
      },
      transformer: { dim: 32, nLayer: 1, nHead: 2, multipleOf: 16 },
      train: {
        tokenizer: { steps: 40, batchSize: 8, warmup: 5 },
        transformer: { steps: 60, batchSize: 8, warmup: 5, tokenImages: 256 },
      },
    },
  },
};

/** Parts of recipes that stages of several systems share, as schemas, and what they become. */
import { z } from "zod";
import { createLoader } from "../data/loader.ts";
import type { ImageSet } from "../data/types.ts";
import { type AdamWOptions, defaultAdamW } from "./adamw.ts";
import type { TrainerOptions } from "./trainer.ts";

export const rate = z.number().min(0).max(1);
export const stepCount = z.int().min(1).max(10_000_000);

/** Fields of every stage; systems add defaults. */
export const stageFields = {
  batchSize: z.int().min(1).max(4096),
  accumulate: z.int().min(1).max(1024).default(1).describe("Micro-batches per step."),
  learningRate: z.number().gt(0).max(1),
  schedule: z.enum(["lin0", "cosine", "constant"]),
  warmup: z.int().min(0).max(1_000_000).describe("Steps of linear warm-up."),
  end: rate.describe("Final fraction of the learning rate."),
  weightDecay: rate,
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1),
  clipNorm: z.number().min(0).max(1e6).describe("Largest gradient norm; 0 does not clip."),
  emaDecay: z.number().min(0).lt(1).describe("Decay of the weight average; 0 keeps none."),
};

/** Restart of dead codes. */
export const restartFields = {
  restartEvery: z.int().min(0).max(1_000_000).default(50).describe("Steps between restarts of dead codes."),
  restartUntil: rate.default(0.7).describe("Part of the steps after which codes stay where they are."),
  deadBelow: rate.default(0.03).describe("A code is dead below this share of uniform use."),
};

/** inferred: sizes and rates of small autoencoders over pictures, ours. */
export const pixelStageFields = {
  steps: stepCount.default(6000),
  ...stageFields,
  batchSize: stageFields.batchSize.default(32),
  learningRate: stageFields.learningRate.default(1e-3),
  schedule: stageFields.schedule.default("cosine"),
  warmup: stageFields.warmup.default(100),
  end: stageFields.end.default(0.02),
  weightDecay: stageFields.weightDecay.default(0),
  beta2: stageFields.beta2.default(0.99),
  clipNorm: stageFields.clipNorm.default(1),
  emaDecay: stageFields.emaDecay.default(0.999),
};

export const perceptualWeight = z
  .number()
  .min(0)
  .max(100)
  .default(0)
  .describe("Weight of a perceptual distance; above 0 it reads SqueezeNet from the data folder.");

export const tokenImages = z
  .int()
  .min(1)
  .max(1_000_000)
  .default(40_960)
  .describe("Pictures tokenised before the first step (augmented ones count).");

/** VAR's training of transformers on scales (code: `utils/arg_util.py`, `utils/lr_control.py`); rate of small models, ours. */
export const scaleStageFields = {
  ...stageFields,
  batchSize: stageFields.batchSize.default(64),
  learningRate: stageFields.learningRate.default(1e-3),
  schedule: stageFields.schedule.default("lin0"),
  warmup: stageFields.warmup.default(120),
  end: stageFields.end.default(0.1),
  weightDecay: stageFields.weightDecay.default(0.05),
  beta2: stageFields.beta2.default(0.95),
  clipNorm: stageFields.clipNorm.default(2),
  emaDecay: stageFields.emaDecay.default(0.999),
  tokenImages,
};

/** Which pictures, and how they are varied. */
export const dataSchema = z.strictObject({
  set: z.string().default("synth"),
  size: z.int().min(8).max(512).default(32),
  horizontalFlip: z.boolean().default(false).describe("Mirror every second training picture."),
  cropRatio: z
    .number()
    .min(1)
    .max(2)
    .default(1)
    .describe("Enlarge, then cut a random window; officially 1.125."),
});

export type DataRecipe = z.infer<typeof dataSchema>;

type StageRecipe = { readonly [K in keyof typeof stageFields]: z.infer<(typeof stageFields)[K]> } & {
  readonly steps: number;
};

/** A stage's recipe as the trainer's options; `rule` says what does not decay. */
export function trainerOptions(recipe: StageRecipe, rule: AdamWOptions["undecayed"]): TrainerOptions {
  const { schedule, learningRate, steps, warmup, end, accumulate, emaDecay } = recipe;
  const { beta1, beta2, weightDecay, clipNorm } = recipe;
  return {
    schedule: { name: schedule, peak: learningRate, steps, warmup, end },
    optimizer: { ...defaultAdamW, beta1, beta2, weightDecay, clipNorm, undecayed: rule },
    accumulate,
    emaDecay,
  };
}

/** Shuffled, varied pictures of a set. */
export function loaderOf(data: DataRecipe, set: ImageSet, batchSize: number, seed: number) {
  const crop = data.cropRatio > 1 ? { crop: { ratio: data.cropRatio } } : {};
  return createLoader(set, { batchSize, seed, augment: { horizontalFlip: data.horizontalFlip, ...crop } });
}

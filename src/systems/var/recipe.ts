/**
 * VAR's training programme as data: first the tokenizer, then the transformer on its tokens. Keys are the field's words; a
 * command-line flag is the path of a key (`--train-tokenizer-steps`).
 */
import { z } from "zod";
import { recipeTransformerSchema, tokenizerSchema } from "./config.ts";

const rate = z.number().min(0).max(1);
const steps = z.int().min(1).max(10_000_000);

const stage = {
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

const lossSchema = z.strictObject({
  l1: z.number().min(0).max(100).default(1),
  l2: z.number().min(0).max(100).default(1),
  vq: z.number().min(0).max(100).default(1),
});

/** inferred: the authors never released this stage. */
const tokenizerStage = z.strictObject({
  steps: steps.default(6000),
  ...stage,
  batchSize: stage.batchSize.default(32),
  learningRate: stage.learningRate.default(1e-3),
  schedule: stage.schedule.default("cosine"),
  warmup: stage.warmup.default(100),
  end: stage.end.default(0.02),
  weightDecay: stage.weightDecay.default(0),
  beta2: stage.beta2.default(0.99),
  clipNorm: stage.clipNorm.default(1),
  emaDecay: stage.emaDecay.default(0.999),
  loss: lossSchema.prefault({}),
  restartEvery: z.int().min(0).max(1_000_000).default(50).describe("Steps between restarts of dead codes."),
  restartUntil: rate.default(0.7).describe("Part of the steps after which codes stay where they are."),
  deadBelow: rate.default(0.03).describe("A code is dead below this share of uniform use."),
});

/** code: `utils/arg_util.py`, `utils/lr_control.py`; the learning rate is that of small models, ours. */
const transformerStage = z.strictObject({
  steps: steps.default(6000),
  ...stage,
  batchSize: stage.batchSize.default(64),
  learningRate: stage.learningRate.default(1e-3),
  schedule: stage.schedule.default("lin0"),
  warmup: stage.warmup.default(120),
  end: stage.end.default(0.1),
  weightDecay: stage.weightDecay.default(0.05),
  beta2: stage.beta2.default(0.95),
  clipNorm: stage.clipNorm.default(2),
  emaDecay: stage.emaDecay.default(0.999),
  tokenImages: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(40_960)
    .describe("Pictures tokenised before the first step (augmented ones count)."),
});

export const varRecipeSchema = z.strictObject({
  system: z.literal("var").default("var"),
  seed: z.int().min(0).default(1),
  data: z.strictObject({
    set: z.string().default("synth"),
    size: z.int().min(8).max(512).default(32),
    horizontalFlip: z.boolean().default(false).describe("Mirror every second training picture."),
    cropRatio: z
      .number()
      .min(1)
      .max(2)
      .default(1)
      .describe("Enlarge, then cut a random window; officially 1.125."),
  }),
  tokenizer: tokenizerSchema,
  transformer: recipeTransformerSchema,
  train: z.strictObject({
    tokenizer: tokenizerStage.prefault({}),
    transformer: transformerStage.prefault({}),
  }),
});

export type VarRecipe = z.infer<typeof varRecipeSchema>;

const smallTokenizer = {
  vocabSize: 512,
  zChannels: 16,
  ch: 40,
  numGroups: 8,
  chMult: [1, 2],
  numResBlocks: 1,
  patchSize: 2,
  patchNums: [1, 2, 3, 4, 6, 8],
};
const smallTransformer = { depth: 6, embedDim: 96, numHeads: 6, sharedAln: true };

export const varRecipes = {
  "synth-32": {
    description: "VAR on the procedural stickers, 16 classes, 32 px, 130 tokens in 6 scales.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smallTokenizer,
      transformer: smallTransformer,
      train: { tokenizer: { steps: 6000 }, transformer: { steps: 3000 } },
    },
  },
  "tiles-32": {
    description: "VAR on Dungeon Crawl tiles (CC0), 8 classes, 32 px, 130 tokens in 6 scales.",
    expect: "",
    recipe: {
      data: { set: "tiles", horizontalFlip: true },
      tokenizer: smallTokenizer,
      transformer: smallTransformer,
      train: {},
    },
  },
  "fashion-32": {
    description: "VAR on Fashion-MNIST (MIT), 10 classes, 32 px, 130 tokens in 6 scales.",
    expect: "",
    recipe: {
      data: { set: "fashion-mnist", horizontalFlip: true },
      tokenizer: smallTokenizer,
      transformer: smallTransformer,
      train: { tokenizer: { steps: 2000 }, transformer: { steps: 3000 } },
    },
  },
  smoke: {
    description: "A tiny VAR that trains in under a minute: to see everything run, not to look good.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: {
        ...smallTokenizer,
        vocabSize: 64,
        zChannels: 8,
        ch: 16,
        numGroups: 4,
        patchSize: 4,
        chMult: [1, 1],
        patchNums: [1, 2, 3, 4],
      },
      transformer: { depth: 2, embedDim: 32, numHeads: 2 },
      train: {
        tokenizer: { steps: 60, batchSize: 8, warmup: 5 },
        transformer: { steps: 60, batchSize: 8, warmup: 5, tokenImages: 256 },
      },
    },
  },
};

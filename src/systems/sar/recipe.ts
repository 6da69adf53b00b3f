/**
 * SAR's training programme as data: the tokenizer, the FlexVAR base on its tokens, then refinement of the base. Keys are the
 * field's words; a command-line flag is the path of a key (`--train-refine-sigma`).
 */
import { z } from "zod";
import { officialRule, type ScheduleRule } from "../../plan/randomSchedule.ts";
import { refineStageSchema } from "../../regimen/refineStage.ts";
import {
  dataSchema,
  pixelStageFields,
  rate,
  restartFields,
  scaleStageFields,
  stepCount,
} from "../../regimen/stageRecipe.ts";
import { recipeTransformerSchema, tokenizerSchema } from "./config.ts";

const side = z.int().min(1).max(256);

const range = (from: number, to: number, count: number) =>
  z
    .strictObject({
      from: side.default(from),
      to: side.default(to),
      count: z.int().min(0).max(64).default(count),
    })
    .refine((r) => r.count <= r.to - r.from + 1, { error: "count sides must fit from .. to" })
    .prefault({});

/** Random schedules, one per step. Source: code, `gen_curr_patch_nums`; the numbers are those of the released models. */
const schedulesSchema = z.strictObject({
  random: z.boolean().default(true).describe("False trains the one schedule patchNums."),
  fullShare: rate.default(officialRule.fullShare).describe("Steps with the schedule patchNums."),
  middle: range(3, 10, 5).describe("Sides drawn between 2 and the fine ones."),
  fine: range(11, 15, 2).describe("Sides drawn below the last."),
  last: side.default(officialRule.last),
  budget: z.int().min(1).max(65536).default(officialRule.budget).describe("Most tokens of a schedule."),
});

const lossSchema = z.strictObject({
  l1: z.number().min(0).max(100).default(1),
  l2: z.number().min(0).max(100).default(1),
  vq: z.number().min(0).max(100).default(1),
});

/** inferred: the authors never released this stage. */
const tokenizerStage = z.strictObject({
  ...pixelStageFields,
  loss: lossSchema.prefault({}),
  scalesPerStep: z.int().min(1).max(16).default(2).describe("Drawn sides per step, the finest among them."),
  ...restartFields,
});

const transformerStage = z.strictObject({ steps: stepCount.default(4500), ...scaleStageFields });

const recipeFields = z.strictObject({
  system: z.literal("sar").default("sar"),
  seed: z.int().min(0).default(1),
  data: dataSchema,
  tokenizer: tokenizerSchema,
  transformer: recipeTransformerSchema,
  schedules: schedulesSchema.prefault({}),
  train: z.strictObject({
    tokenizer: tokenizerStage.prefault({}),
    transformer: transformerStage.prefault({}),
    refine: refineStageSchema.prefault({}),
  }),
});

/** Latents have the side that the data's size asks for; random schedules end where the fixed one does. */
export const sarRecipeSchema = recipeFields
  .refine(
    ({ data, tokenizer }) =>
      data.size === tokenizer.latentSide * tokenizer.patchSize * 2 ** (tokenizer.encoderChMult.length - 1),
    { error: "latentSide times the pixels per site must be data.size", path: ["tokenizer", "latentSide"] },
  )
  .refine(
    ({ schedules, transformer }) => !schedules.random || schedules.last === transformer.patchNums.at(-1),
    {
      error: "random schedules must end with the last of transformer.patchNums",
      path: ["schedules", "last"],
    },
  );

export type SarRecipe = z.infer<typeof sarRecipeSchema>;

/** The rule of a recipe's random schedules. */
export function scheduleRule({ schedules, transformer }: SarRecipe): ScheduleRule {
  const { fullShare, middle, fine, last, budget } = schedules;
  const { first, dropAbove } = officialRule;
  return { full: transformer.patchNums, fullShare, first, ranges: [middle, fine], last, dropAbove, budget };
}

const smallTokenizer = {
  vocabSize: 512,
  codeWidth: 16,
  zChannels: 32,
  ch: 40,
  numGroups: 8,
  encoderChMult: [1, 2],
  decoderChMult: [1, 2],
  numResBlocks: 1,
  patchSize: 2,
  latentSide: 8,
};
const smallTransformer = {
  depth: 6,
  embedDim: 96,
  numHeads: 6,
  sharedAln: true,
  patchNums: [1, 2, 3, 4, 6, 8],
  positionSide: 16,
  sampledSides: [1, 2, 3, 4, 5, 6, 7, 8],
};
const smallSchedules = {
  fullShare: 0.25,
  middle: { from: 3, to: 5, count: 2 },
  fine: { from: 6, to: 7, count: 1 },
  last: 8,
  budget: 160,
};
const tinySchedules = {
  fullShare: 0.5,
  middle: { from: 3, to: 3, count: 1 },
  fine: { from: 3, to: 3, count: 0 },
  last: 4,
  budget: 30,
};

/** Random schedules for a model by its finest side: the official ones, or those of our recipes; undefined for others. */
export function usualSchedules(patchNums: readonly number[]): SarRecipe["schedules"] | undefined {
  const all = [{}, smallSchedules, tinySchedules].map((schedules) => schedulesSchema.parse(schedules));
  return all.find(({ last }) => last === patchNums.at(-1));
}

export const sarRecipes = {
  "synth-32": {
    description: "FlexVAR on the procedural stickers, 16 classes, 32 px, then SAR; any schedule up to 8 x 8.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smallTokenizer,
      transformer: smallTransformer,
      schedules: smallSchedules,
      train: { tokenizer: { steps: 4000 }, transformer: { steps: 6000, batchSize: 32 } },
    },
  },
  "fashion-32": {
    description: "FlexVAR on Fashion-MNIST (MIT), 10 classes, 32 px, then SAR; any schedule up to 8 x 8.",
    expect: "",
    recipe: {
      data: { set: "fashion-mnist", horizontalFlip: true },
      tokenizer: smallTokenizer,
      transformer: smallTransformer,
      schedules: smallSchedules,
      train: { tokenizer: { steps: 2000 }, transformer: { steps: 6000, batchSize: 32 } },
    },
  },
  smoke: {
    description:
      "A tiny FlexVAR with SAR that trains in about a minute: to see everything run, not to look good.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: {
        ...smallTokenizer,
        vocabSize: 64,
        codeWidth: 8,
        zChannels: 16,
        ch: 16,
        numGroups: 4,
        patchSize: 4,
        encoderChMult: [1, 1],
        decoderChMult: [1, 1],
        latentSide: 4,
      },
      transformer: {
        depth: 2,
        embedDim: 32,
        numHeads: 2,
        patchNums: [1, 2, 3, 4],
        positionSide: 8,
        sampledSides: [1, 2, 3, 4],
      },
      schedules: tinySchedules,
      train: {
        tokenizer: { steps: 40, batchSize: 8, warmup: 5 },
        transformer: { steps: 60, batchSize: 8, warmup: 5, tokenImages: 256 },
        refine: { steps: 20, batchSize: 8, warmup: 2, tokenImages: 256 },
      },
    },
  },
};

/**
 * HMAR's training programme as data: VAR's tokenizer, next-scale prediction, masked prediction over its frozen base. Keys
 * are the field's words; a command-line flag is the path of a key (`--train-masked-steps`).
 */
import { z } from "zod";
import {
  recipeTransformerSchema,
  smallMultiScale,
  smokeMultiScale,
  tokenizerSchema,
} from "../../regimen/multiScaleConfig.ts";
import { tokenizerStageSchema } from "../../regimen/multiScaleStages.ts";
import { scaleWeightings } from "../../regimen/scaleWeights.ts";
import { dataSchema, scaleStageFields, stepCount } from "../../regimen/stageRecipe.ts";
import { tailFits, tailLayers, tailMessage } from "./config.ts";

const nextScaleStage = z.strictObject({
  steps: stepCount.default(3000),
  ...scaleStageFields,
  lossWeights: z
    .enum(scaleWeightings)
    .default("lognorm")
    .describe("Weights of scales in the loss: tokens alike, scales alike, or log-normal (officially)."),
});

/** code: half as many epochs as stage 1 at the smallest size. */
const maskedStage = z.strictObject({ steps: stepCount.default(1500), ...scaleStageFields });

export const hmarRecipeSchema = z
  .strictObject({
    system: z.literal("hmar").default("hmar"),
    seed: z.int().min(0).default(1),
    data: dataSchema,
    tokenizer: tokenizerSchema,
    transformer: recipeTransformerSchema,
    tailLayers,
    train: z.strictObject({
      tokenizer: tokenizerStageSchema.prefault({}),
      nextScale: nextScaleStage.prefault({}),
      masked: maskedStage.prefault({}),
    }),
  })
  .refine(tailFits, tailMessage);

export type HmarRecipe = z.infer<typeof hmarRecipeSchema>;

export const hmarRecipes = {
  "synth-32": {
    description: "HMAR on the procedural stickers, 16 classes, 32 px, 130 tokens in 6 scales.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smallMultiScale,
      transformer: { depth: 6, embedDim: 64, numHeads: 4 },
      tailLayers: 3,
      train: { tokenizer: { steps: 6000 }, nextScale: { steps: 3000 }, masked: { steps: 1500 } },
    },
  },
  smoke: {
    description: "A tiny HMAR that trains in about a minute: to see everything run, not to look good.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smokeMultiScale,
      transformer: { depth: 2, embedDim: 32, numHeads: 2 },
      tailLayers: 1,
      train: {
        tokenizer: { steps: 60, batchSize: 8, warmup: 5 },
        nextScale: { steps: 60, batchSize: 8, warmup: 5, tokenImages: 256 },
        masked: { steps: 40, batchSize: 8, warmup: 5, tokenImages: 256 },
      },
    },
  },
};

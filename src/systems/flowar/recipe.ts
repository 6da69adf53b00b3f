/**
 * FlowAR's training programme as data: the KL autoencoder, then the transformer and its flow head on its latents. Keys are
 * the field's words; a command-line flag is the path of a key (`--train-transformer-steps`).
 */

import { z } from "zod";
import { requireGrowing, scalePlan } from "../../plan/scales.ts";
import { klSchema, smallKl } from "../../regimen/klConfig.ts";
import { klStageSchema } from "../../regimen/klStage.ts";
import { latentStageFields, mapFits, mapMessage } from "../../regimen/latentStage.ts";
import { planStands } from "../../regimen/recipeChecks.ts";
import { dataSchema, stageFields } from "../../regimen/stageRecipe.ts";
import { recipeTransformerSchema } from "./config.ts";

/** code: weight decay, clipping at 3. */
const transformerStage = z.strictObject({
  ...latentStageFields,
  clipNorm: stageFields.clipNorm.default(3),
  beta2: stageFields.beta2.default(0.95),
});

export const flowArRecipeSchema = z
  .strictObject({
    system: z.literal("flowar").default("flowar"),
    seed: z.int().min(0).default(1),
    data: dataSchema,
    tokenizer: klSchema,
    transformer: recipeTransformerSchema,
    train: z.strictObject({
      tokenizer: klStageSchema.prefault({}),
      transformer: transformerStage.prefault({}),
    }),
  })
  .refine(mapFits, mapMessage)
  .refine(({ tokenizer, transformer }) => transformer.patchNums.at(-1) === tokenizer.latentSide, {
    error: "the last side must be the autoencoder's latentSide",
    path: ["transformer", "patchNums"],
  })
  .superRefine(
    planStands(
      ({ transformer }) => scalePlan(requireGrowing(transformer.patchNums)),
      ["transformer", "patchNums"],
    ),
  );

export type FlowArRecipe = z.infer<typeof flowArRecipeSchema>;

const smallTransformer = {
  ...{ embedDim: 96, encoderDepth: 2, encoderNumHeads: 6, decoderDepth: 2, decoderNumHeads: 6 },
  ...{ flowDepth: 2, flowWidth: 96, patchNums: [1, 2, 4, 8] },
};

export const flowArRecipes = {
  "synth-32": {
    description: "FlowAR on the procedural stickers, 16 classes, 32 px, 85 sites in 4 scales.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smallKl,
      transformer: smallTransformer,
      train: { tokenizer: { steps: 4000 }, transformer: { steps: 6000 } },
    },
  },
  smoke: {
    description: "A tiny FlowAR that trains in about a minute: to see everything run, not to look good.",
    expect: "About a minute on two busy cores, 190 MB; held-out loss near 1.95, pictures of noise.",
    recipe: {
      data: { set: "synth" },
      tokenizer: { ...smallKl, ch: 16, numGroups: 4, chMult: [1, 1], patchSize: 4, latentSide: 4 },
      transformer: {
        ...{ embedDim: 32, encoderDepth: 1, encoderNumHeads: 2, decoderDepth: 1, decoderNumHeads: 2 },
        ...{ flowDepth: 1, flowWidth: 64, patchNums: [1, 2, 4] },
      },
      train: {
        tokenizer: { steps: 60, batchSize: 8, warmup: 5 },
        transformer: { steps: 60, batchSize: 8, warmup: 5, tokenImages: 256 },
      },
    },
  },
};

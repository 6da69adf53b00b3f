/**
 * xAR's training programme as data: the autoencoder, then the transformer on its latents. Keys are the field's words; a
 * command-line flag is the path of a key (`--transformer-entity scale`).
 */

import { z } from "zod";
import { entityPlan } from "../../plan/entities.ts";
import { klSchema, smallKl } from "../../regimen/klConfig.ts";
import { klStageSchema } from "../../regimen/klStage.ts";
import { latentStageFields, mapFits, mapMessage } from "../../regimen/latentStage.ts";
import { planStands } from "../../regimen/recipeChecks.ts";
import { dataSchema } from "../../regimen/stageRecipe.ts";
import { pastNames, recipeTransformerSchema } from "./config.ts";

/** code: `train.sh` for what `latentStageFields` does not call inferred (officially 4e-4, constant, then a late cosine). */
const transformerStage = z.strictObject({
  ...latentStageFields,
  past: z
    .enum(pastNames)
    .default("random")
    .describe("What entities are predicted from: noisy ones, or (teacher forcing) a clean copy."),
});

/** Maps have the side that the data's size asks for. */
export const xarRecipeSchema = z
  .strictObject({
    system: z.literal("xar").default("xar"),
    seed: z.int().min(0).default(1),
    data: dataSchema,
    tokenizer: klSchema,
    transformer: recipeTransformerSchema,
    train: z
      .strictObject({
        tokenizer: klStageSchema.prefault({}),
        transformer: transformerStage.prefault({}),
      })
      .prefault({}),
  })
  .refine(mapFits, mapMessage)
  .superRefine(
    planStands(
      ({ tokenizer, transformer }) => entityPlan(transformer.entity, tokenizer.latentSide, transformer.parts),
      ["transformer", "parts"],
    ),
  );

export type XarRecipe = z.infer<typeof xarRecipeSchema>;

const small = {
  ...{ embedDim: 128, encoderDepth: 2, encoderNumHeads: 4, decoderDepth: 2, decoderNumHeads: 4 },
};

/** The recipe of one kind of entity; `parts` as in the plan. */
const withEntity = (entity: string, parts: number) => ({
  data: { set: "synth" },
  tokenizer: smallKl,
  transformer: { ...small, entity, parts },
});

export const xarRecipes = {
  "synth-32": {
    description: "xAR on the procedural stickers, 16 classes, 32 px: next cell, four of 4 x 4 sites.",
    expect: "",
    recipe: withEntity("cell", 2),
  },
  "synth-32-token": {
    description: "The same with a single site as entity: 64 steps of the loop, each a path of its own.",
    expect: "",
    recipe: withEntity("token", 2),
  },
  "synth-32-sub-sample": {
    description: "The same with every second row and column as entity.",
    expect: "",
    recipe: withEntity("sub-sample", 2),
  },
  "synth-32-scale": {
    description: "The same with the map at the next scale as entity: sides 1, 2, 4, 8.",
    expect: "",
    recipe: withEntity("scale", 4),
  },
  "synth-32-image": {
    description: "The same with the whole map as the only entity: plain flow matching.",
    expect: "",
    recipe: withEntity("image", 1),
  },
  smoke: {
    description: "A tiny xAR that trains in under a minute: to see everything run, not to look good.",
    expect: "About a minute on two busy cores, 340 MB; held-out loss near 1.8, pictures of plain colours.",
    recipe: {
      data: { set: "synth" },
      tokenizer: {
        ...smallKl,
        ...{ ch: 16, numGroups: 4, patchSize: 4, chMult: [1, 1], latentSide: 4 },
      },
      transformer: { embedDim: 32, encoderDepth: 1, encoderNumHeads: 2, decoderDepth: 1, decoderNumHeads: 2 },
      train: {
        tokenizer: { steps: 40, batchSize: 8, warmup: 5 },
        transformer: { steps: 60, batchSize: 8, warmup: 5, tokenImages: 256 },
      },
    },
  },
};

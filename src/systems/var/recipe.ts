/**
 * VAR's training programme as data: first the tokenizer, then the transformer on its tokens. Keys are the field's words; a
 * command-line flag is the path of a key (`--train-tokenizer-steps`).
 */
import { z } from "zod";
import {
  recipeTransformerSchema,
  smallMultiScale,
  smokeMultiScale,
  tokenizerSchema,
} from "../../regimen/multiScaleConfig.ts";
import { tokenizerStageSchema } from "../../regimen/multiScaleStages.ts";
import { refineStageSchema } from "../../regimen/refineStage.ts";
import { dataSchema, scaleStageFields, stepCount } from "../../regimen/stageRecipe.ts";

const transformerStage = z.strictObject({ steps: stepCount.default(6000), ...scaleStageFields });

export const varRecipeSchema = z.strictObject({
  system: z.literal("var").default("var"),
  seed: z.int().min(0).default(1),
  data: dataSchema,
  tokenizer: tokenizerSchema,
  transformer: recipeTransformerSchema,
  train: z.strictObject({
    tokenizer: tokenizerStageSchema.prefault({}),
    transformer: transformerStage.prefault({}),
    /** Self-autoregressive refinement of the finished model, where asked for. */
    refine: refineStageSchema.optional(),
  }),
});

export type VarRecipe = z.infer<typeof varRecipeSchema>;

const smallTransformer = { depth: 6, embedDim: 96, numHeads: 6, sharedAln: true };

export const varRecipes = {
  "synth-32": {
    description: "VAR on the procedural stickers, 16 classes, 32 px, 130 tokens in 6 scales.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smallMultiScale,
      transformer: smallTransformer,
      train: { tokenizer: { steps: 6000 }, transformer: { steps: 3000 } },
    },
  },
  "tiles-32": {
    description: "VAR on Dungeon Crawl tiles (CC0), 8 classes, 32 px, 130 tokens in 6 scales.",
    expect: "",
    recipe: {
      data: { set: "tiles", horizontalFlip: true },
      tokenizer: smallMultiScale,
      transformer: smallTransformer,
      train: {},
    },
  },
  "fashion-32": {
    description: "VAR on Fashion-MNIST (MIT), 10 classes, 32 px, 130 tokens in 6 scales.",
    expect: "",
    recipe: {
      data: { set: "fashion-mnist", horizontalFlip: true },
      tokenizer: smallMultiScale,
      transformer: smallTransformer,
      train: { tokenizer: { steps: 2000 }, transformer: { steps: 3000 } },
    },
  },
  smoke: {
    description: "A tiny VAR that trains in under a minute: to see everything run, not to look good.",
    expect: "",
    recipe: {
      data: { set: "synth" },
      tokenizer: smokeMultiScale,
      transformer: { depth: 2, embedDim: 32, numHeads: 2 },
      train: {
        tokenizer: { steps: 60, batchSize: 8, warmup: 5 },
        transformer: { steps: 60, batchSize: 8, warmup: 5, tokenImages: 256 },
      },
    },
  },
};

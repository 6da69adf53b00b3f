/** The two sides of the comparison, and their tokenizers. */

import { roundTripGraph } from "../../codec/multiScalePrograms.ts";
import { groundTruth } from "../../context/pastSources.ts";
import { synthClassNames } from "../../data/synth/factors.ts";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import { forcedProgramme } from "../../regimen/programmes.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import { teacherForcing } from "../../regimen/teacherForcedScales.ts";
import type { Graph } from "../../runtime/trace.ts";
import { type VarRecipe, varRecipeSchema, varRecipes } from "../../systems/var/recipe.ts";
import { transformerPrefix, varTrainee } from "../../systems/var/scaleWise.ts";
import { varSystem } from "../../systems/var/system.ts";
import { buildVar } from "../../systems/var/varModel.ts";
import { graphWork, type Side, type TrainedTokenizer } from "../contest/side.ts";
import { rasterConfigSchema, singleScale } from "../raster/config.ts";
import { buildRaster, rasterPrefix, rasterTrainee } from "../raster/model.ts";
import { RasterModel } from "../raster/rasterModel.ts";
import { rasterStage } from "../raster/stage.ts";

/** Sizes and lengths of the pair: small enough that every arm ends within 15 minutes on two cores. */
export interface PairOptions {
  readonly transformer: { readonly depth: number; readonly embedDim: number; readonly numHeads: number };
  readonly tokenizerSteps: number;
  /** Steps of the scale-wise transformer; the other side's follow from equal multiply-adds. */
  readonly transformerSteps: number;
  readonly batchSize: number;
  readonly tokenImages: number;
}

function recipeOf(options: PairOptions, steps: number): VarRecipe {
  const { transformer, tokenizerSteps, batchSize, tokenImages } = options;
  const base = varRecipes["synth-32"].recipe;
  return varRecipeSchema.parse({
    data: base.data,
    tokenizer: base.tokenizer,
    transformer: { ...base.transformer, ...transformer },
    train: {
      tokenizer: { steps: tokenizerSteps },
      transformer: { steps, batchSize, tokenImages },
    },
  });
}

const numClasses = synthClassNames.length;
/** What the contest compares, and what decides it; the raster side has the same encoder, decoder, codebook size, blocks and training. */
export function pairOf(options: PairOptions) {
  const { batchSize, transformerSteps } = options;
  const { tokenizer, transformer, data } = recipeOf(options, 1);
  const about = { classNames: [...synthClassNames], imageSize: data.size };
  const varConfig = {
    tokenizer,
    transformer: transformerSchema.parse({
      ...transformer,
      numClasses,
      patchNums: tokenizer.patchNums,
    }),
  };
  const codec = tokenizerSchema.parse(singleScale(tokenizer));
  const rasterConfig = rasterConfigSchema.parse({
    tokenizer: codec,
    transformer: { ...varConfig.transformer, patchNums: codec.patchNums },
  });
  const recipe = (steps: number) => recipeOf(options, steps);
  const rasterRecipe = (steps: number) => ({ ...recipeOf(options, steps), tokenizer: codec });
  const stageAt = (own: VarRecipe, i: number) => varSystem.stages(own)[i] as Stage; // tokenizer, transformer
  const description = { system: "var", config: varConfig, ...about };
  const rasterDescription = { system: "raster", config: rasterConfig, ...about };
  const tokenizerOf = (
    name: string,
    own: VarRecipe,
    described: ModelDescription,
    roundTrip: () => Graph,
  ): TrainedTokenizer => ({
    ...{ name, prefix: tokenizerPrefix, description: described, roundTrip },
    recipe: { data: own.data, tokenizer: own.tokenizer, train: own.train.tokenizer },
    stage: () => stageAt(own, 0),
  });
  const sides: readonly [Side, Side] = [
    {
      ...{ name: "var", tokenizer: "var", description },
      training: {
        prefix: transformerPrefix,
        steps: () => transformerSteps,
        stage: (steps) => stageAt(recipe(steps), 1),
        stepWork: () => {
          const { tokenizer: frozen } = buildVar(varConfig);
          const trainee = varTrainee(frozen, new Map(), varConfig.transformer);
          return graphWork(teacherForcing(frozen, trainee).graph, batchSize);
        },
      },
      open: (weights, device) => varSystem.open(description, weights, device),
    },
    {
      ...{ name: "raster", tokenizer: "raster", description: rasterDescription },
      training: {
        prefix: rasterPrefix,
        steps: (work) => Math.round((transformerSteps * work("var")) / work("raster")),
        stage: (steps) => rasterStage(rasterRecipe(steps), rasterConfig),
        stepWork: () =>
          graphWork(forcedProgramme(rasterTrainee(rasterConfig, new Map()), groundTruth).graph, batchSize),
      },
      open: async (weights, device) => new RasterModel(rasterDescription, weights, device),
    },
  ];
  return {
    sides,
    tokenizers: [
      tokenizerOf("var", recipe(1), description, () => roundTripGraph(buildVar(varConfig).tokenizer)),
      tokenizerOf("raster", rasterRecipe(1), rasterDescription, () =>
        roundTripGraph(buildRaster(rasterConfig).tokenizer),
      ),
    ],
    training: [recipe(transformerSteps), rasterRecipe(transformerSteps)] as const,
  };
}

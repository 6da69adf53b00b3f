/** The two sides of the comparison, behind one interface: what trains, what it costs, what samples. */

import { roundTripGraph } from "../../codec/multiScalePrograms.ts";
import { groundTruth } from "../../context/pastSources.ts";
import { synthClassNames } from "../../data/synth/factors.ts";
import type { Weights } from "../../nn/scope.ts";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { forcedProgramme } from "../../regimen/programmes.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import { teacherForcing } from "../../regimen/teacherForcedScales.ts";
import { multiplyAdds } from "../../runtime/cost.ts";
import type { Device } from "../../runtime/device.ts";
import type { Graph } from "../../runtime/trace.ts";
import { type VarRecipe, varRecipeSchema, varRecipes } from "../../systems/var/recipe.ts";
import { varTrainee } from "../../systems/var/scaleWise.ts";
import { varSystem } from "../../systems/var/system.ts";
import { buildVar } from "../../systems/var/varModel.ts";
import type { Sampler } from "../judging.ts";
import { rasterConfigSchema, singleScale } from "../raster/config.ts";
import { buildRaster, rasterTrainee } from "../raster/model.ts";
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

export interface Side {
  readonly name: "var" | "raster";
  /** Data, sizes and training, with `steps` of the transformer. */
  recipe(steps: number): VarRecipe;
  readonly description: ModelDescription;
  tokenizerStage(): Stage;
  transformerStage(steps: number): Stage;
  /** Multiply-adds of one training step of the transformer. */
  stepWork(): number;
  /** Pictures through the tokenizer and back. */
  roundTrip(): Graph;
  open(weights: Weights, device: Device): Promise<Sampler & Disposable>;
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
const work = (graph: Graph, batchSize: number): number =>
  multiplyAdds(Object.values(graph.outputs), new Map([["B", batchSize]]));

/** Both sides; the raster one has the same encoder, decoder, codebook size, blocks and training. */
export function sidesOf(options: PairOptions): readonly [Side, Side] {
  const { batchSize } = options;
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
  return [
    {
      name: "var",
      recipe,
      description,
      tokenizerStage: () => stageAt(recipe(1), 0),
      transformerStage: (steps) => stageAt(recipe(steps), 1),
      stepWork: () => {
        const { tokenizer: frozen } = buildVar(varConfig);
        const trainee = varTrainee(frozen, new Map(), varConfig.transformer);
        return work(teacherForcing(frozen, trainee).graph, batchSize);
      },
      roundTrip: () => roundTripGraph(buildVar(varConfig).tokenizer),
      open: (weights, device) => varSystem.open(description, weights, device),
    },
    {
      name: "raster",
      recipe: rasterRecipe,
      description: rasterDescription,
      tokenizerStage: () => stageAt(rasterRecipe(1), 0),
      transformerStage: (steps) => rasterStage(rasterRecipe(steps), rasterConfig),
      stepWork: () =>
        work(forcedProgramme(rasterTrainee(rasterConfig, new Map()), groundTruth).graph, batchSize),
      roundTrip: () => roundTripGraph(buildRaster(rasterConfig).tokenizer),
      open: async (weights, device) => new RasterModel(rasterDescription, weights, device),
    },
  ];
}

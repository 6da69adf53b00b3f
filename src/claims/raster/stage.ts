/** Training the next-token baseline over a frozen single-scale tokenizer, with a scale-wise recipe's values. */

import { tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { groundTruth } from "../../context/pastSources.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import { forcedProgramme } from "../../regimen/programmes.ts";
import { ScaleWiseTask, undecayed } from "../../regimen/scaleWiseTask.ts";
import { trainerOptions } from "../../regimen/stageRecipe.ts";
import type { Stage } from "../../regimen/system.ts";
import { tokenSplits } from "../../regimen/tokenSplits.ts";
import type { VarRecipe } from "../../systems/var/recipe.ts";
import { heldOutLoss } from "../heldOutLoss.ts";
import type { RasterConfig } from "./config.ts";
import { buildRaster, rasterTrainee } from "./model.ts";

/** `recipe` gives data and the transformer's training; the tokenizer's weights are those of the stage before. */
export function rasterStage(recipe: VarRecipe, config: RasterConfig): Stage {
  const { transformer: stage } = recipe.train;
  return {
    name: "raster",
    steps: stage.steps,
    options: trainerOptions(stage, undecayed),
    create: async (context) => {
      const { batchSize, accumulate, tokenImages } = stage;
      const frozen = new Map([...context.earlier].filter(([name]) => name.startsWith(tokenizerPrefix)));
      const { tokenizer } = buildRaster(config);
      const { plan, imageSize } = tokenizer;
      const pictureShape = [tokenizer.config.inChannels, imageSize, imageSize];
      const request = { graph: tokenizeGraph(tokenizer), values: {}, weights: frozen, plan, pictureShape };
      const { tokens, heldOutTokens } = await tokenSplits(request, recipe.data, tokenImages, context);
      const trainee = rasterTrainee(config, frozen);
      const task = new ScaleWiseTask(
        trainee.model,
        forcedProgramme(trainee, groundTruth),
        trainee.scope.specs,
        tokens,
        { batchSize, seed: context.seed, plan: () => plan },
      );
      return {
        task,
        batchSize: batchSize * accumulate,
        observe: async (weights) => {
          const all = new Map([...frozen, ...weights]);
          const loss = await heldOutLoss(trainee.model, all, heldOutTokens, context.device);
          return { metrics: { validationLoss: loss } };
        },
      };
    },
  };
}

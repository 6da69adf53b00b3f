/** xAR's two stages: its autoencoder, then the transformer on its latents. */
import { noisyPasts } from "../../context/noisyPast.ts";
import type { ImageSet } from "../../data/types.ts";
import { klStage } from "../../regimen/klStage.ts";
import { type LatentTrainee, latentStage } from "../../regimen/latentStage.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { buildXar, transformerPrefix } from "./build.ts";
import { transformerSchema, type XarModelConfig } from "./config.ts";
import { flowObjective, flowSpecs, flowTraining, stepValues } from "./objective.ts";
import type { XarRecipe } from "./recipe.ts";
import { XarModel } from "./xarModel.ts";

/** The model configuration of a recipe over data of some classes. */
export function modelConfig({ tokenizer, transformer }: XarRecipe, numClasses: number): XarModelConfig {
  return { tokenizer, transformer: transformerSchema.parse({ ...transformer, numClasses }) };
}

/** The transformer of a recipe as its training sees it. */
export function xarTrainee(recipe: XarRecipe, description: ModelDescription, device: Device): LatentTrainee {
  const past = noisyPasts[recipe.train.transformer.past];
  const config = modelConfig(recipe, description.classNames.length);
  const { transformer: model, scopes } = buildXar(config);
  return {
    programme: {
      graph: flowTraining(scopes.transformer, model, past),
      parameters: scopes.transformer.specs,
      values: (batch) => stepValues(model, past, batch),
    },
    prefix: transformerPrefix,
    conditioner: model.conditioner,
    condDropRate: config.transformer.condDropRate,
    objective: () =>
      trace(flowSpecs(model, past), (inputs) => {
        const { loss, groupLosses } = flowObjective(model, past, inputs);
        return { loss, groupLosses };
      }),
    open: (weights) => new XarModel(description, config, weights, device),
  };
}

/** The programme of a recipe. */
export function xarStages(
  recipe: XarRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  const trainee = (set: ImageSet, device: Device) => xarTrainee(recipe, describe(set), device);
  return [klStage(recipe), latentStage(recipe, trainee)];
}

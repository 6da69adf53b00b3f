/** FlowAR's two stages: its autoencoder, then transformer and flow head on the latents of it or of any other codec. */
import type { LatentCodec } from "../../codec/types.ts";
import type { ImageSet } from "../../data/types.ts";
import { klStage } from "../../regimen/klStage.ts";
import { type LatentTrainee, latentStage } from "../../regimen/latentStage.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { buildFlowAr, transformerPrefix } from "./build.ts";
import { type FlowArModelConfig, flowArModelSchema } from "./config.ts";
import { FlowArModel } from "./flowArModel.ts";
import { flowArLoss, flowArSpecs, flowArTraining, flowArValues } from "./objective.ts";
import type { FlowArRecipe } from "./recipe.ts";

/** The model of a recipe on a set. */
export function modelConfig(
  { tokenizer, transformer }: Pick<FlowArRecipe, "tokenizer" | "transformer">,
  numClasses: number,
): FlowArModelConfig {
  return { tokenizer, transformer: { ...transformer, numClasses, latentWidth: tokenizer.zChannels } };
}

/** Transformer and flow head as their training sees them; `external` decodes in place of the model's autoencoder. */
export function flowArTrainee(
  description: ModelDescription,
  device: Device,
  external?: LatentCodec,
): LatentTrainee {
  const config = flowArModelSchema.parse(description.config);
  const { model, scopes } = buildFlowAr(config);
  return {
    programme: {
      graph: flowArTraining(scopes.model, model),
      parameters: scopes.model.specs,
      values: (batch) => flowArValues(model, batch),
    },
    prefix: transformerPrefix,
    conditioner: model.conditioner,
    condDropRate: config.transformer.condDropRate,
    objective: () =>
      trace(flowArSpecs(model), (inputs) => {
        const { loss, groupLosses } = flowArLoss(model, inputs);
        return { loss, groupLosses };
      }),
    open: (weights) => new FlowArModel(description, config, weights, device, external),
  };
}

/** The stage over latents; a codec of one's own takes the place of the recipe's autoencoder. */
export function transformerStage(
  recipe: FlowArRecipe,
  describe: (set: ImageSet) => ModelDescription,
  external?: LatentCodec,
): Stage {
  return latentStage(recipe, (set, device) => flowArTrainee(describe(set), device, external), external);
}

/** The programme of a recipe. */
export function flowArStages(
  recipe: FlowArRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  return [klStage(recipe), transformerStage(recipe, describe)];
}

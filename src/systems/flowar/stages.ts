/** FlowAR's two stages: its autoencoder, then transformer and flow head on the latents of it or of any other codec. */
import type { LatentCodec } from "../../codec/types.ts";
import type { ImageSet } from "../../data/types.ts";
import type { Weights } from "../../nn/scope.ts";
import { KlCodec } from "../../regimen/klCodec.ts";
import { buildKl, klPrefix, klStage } from "../../regimen/klStage.ts";
import { drawFromSet, type LatentSet, latentSplits } from "../../regimen/latentSet.ts";
import { LatentTask } from "../../regimen/latentTask.ts";
import { withPrefix } from "../../regimen/multiScaleStages.ts";
import { observeSamples } from "../../regimen/observing.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { undecayed } from "../../regimen/scaleWiseTask.ts";
import { trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Stage, StageContext, StageRun } from "../../regimen/system.ts";
import type { Metrics } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { RandomStream } from "../../tensor/random.ts";
import { buildFlowAr, transformerPrefix } from "./build.ts";
import type { FlowArModelConfig } from "./config.ts";
import { FlowArModel } from "./flowArModel.ts";
import type { FlowAr } from "./model.ts";
import { flowArLoss, flowArSpecs, flowArTraining, flowArValues } from "./objective.ts";
import type { FlowArRecipe } from "./recipe.ts";

/** The model of a recipe on a set. */
export function modelConfig(
  { tokenizer, transformer }: Pick<FlowArRecipe, "tokenizer" | "transformer">,
  numClasses: number,
): FlowArModelConfig {
  return { tokenizer, transformer: { ...transformer, numClasses, latentWidth: tokenizer.zChannels } };
}

/** Losses of held-out latents at drawn times, the same for all weights. */
export async function heldOutFlow(
  model: FlowAr,
  weights: Weights,
  latents: LatentSet,
  device: Device,
): Promise<Metrics> {
  const graph = trace(flowArSpecs(model), (inputs) => {
    const { loss, groupLosses } = flowArLoss(model, inputs);
    return { loss, groupLosses };
  });
  const stream = RandomStream.from(0, "held-out");
  const all = Array.from(latents.labels.keys());
  const batch = { labels: latents.labels, latents: drawFromSet(latents, all, stream), stream };
  const { loss, groupLosses } = await runOnce(graph, flowArValues(model, batch), weights, device);
  return {
    validationLoss: loss?.data[0] as number, // scalar
    validationScaleLoss: Array.from(groupLosses?.data as Float32Array), // the graph's output
  };
}

async function transformerRun(
  recipe: FlowArRecipe,
  describe: (set: ImageSet) => ModelDescription,
  context: StageContext,
  external: LatentCodec | undefined,
): Promise<StageRun> {
  const { batchSize, accumulate, tokenImages } = recipe.train.transformer;
  const { seed, device, earlier } = context;
  const frozen = withPrefix(earlier, klPrefix);
  using own = new KlCodec(buildKl(recipe.tokenizer).codec, frozen, device);
  const splits = await latentSplits(external ?? own, recipe.data, tokenImages, context);
  const { set, validation, latents, heldOutLatents } = splits;
  const config = modelConfig(recipe, set.classNames.length);
  const { model, scopes } = buildFlowAr(config);
  const programme = {
    graph: flowArTraining(scopes.model, model),
    parameters: scopes.model.specs,
    values: (batch: Parameters<typeof flowArValues>[1]) => flowArValues(model, batch),
  };
  const { conditioner } = model;
  const { condDropRate } = config.transformer;
  const initial = withPrefix(earlier, transformerPrefix);
  const task = new LatentTask(programme, latents, { batchSize, seed, conditioner, condDropRate, initial });
  const observe = async (weights: Weights) => {
    const held = await heldOutFlow(model, weights, heldOutLatents, device);
    using opened = new FlowArModel(describe(set), config, new Map([...frozen, ...weights]), device, external);
    const { metrics, ...shown } = await observeSamples(opened, validation);
    return { metrics: { ...held, ...metrics }, ...shown };
  };
  return { task, observe, batchSize: batchSize * accumulate };
}

/** The stage over latents; `external` takes the place of the recipe's autoencoder. */
export function transformerStage(
  recipe: FlowArRecipe,
  describe: (set: ImageSet) => ModelDescription,
  external?: LatentCodec,
): Stage {
  const { transformer } = recipe.train;
  return {
    name: "transformer",
    steps: transformer.steps,
    options: trainerOptions(transformer, undecayed),
    create: (context) => transformerRun(recipe, describe, context, external),
  };
}

/** The programme of a recipe. */
export function flowArStages(
  recipe: FlowArRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  return [klStage(recipe), transformerStage(recipe, describe)];
}

/** xAR's two stages: its autoencoder, then the transformer on its latents, with what is looked at between steps. */
import { noisyPasts } from "../../context/noisyPast.ts";
import type { NoisyPast } from "../../context/types.ts";
import type { ImageSet } from "../../data/types.ts";
import { logitNormalTime } from "../../head/flowMatching.ts";
import type { Weights } from "../../nn/scope.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { KlCodec } from "../../regimen/klCodec.ts";
import { klPrefix, klStage } from "../../regimen/klStage.ts";
import { drawFromSet, type LatentSet, latentSplits } from "../../regimen/latentSet.ts";
import { type LatentBatch, LatentTask } from "../../regimen/latentTask.ts";
import { withPrefix } from "../../regimen/multiScaleStages.ts";
import { observeSamples } from "../../regimen/observing.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Stage, StageContext, StageRun } from "../../regimen/system.ts";
import type { Metrics } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { buildXar, transformerPrefix } from "./build.ts";
import { transformerSchema, type XarModelConfig } from "./config.ts";
import type { XarTransformer } from "./model.ts";
import { flowObjective, flowSpecs, flowTraining, timeValues } from "./objective.ts";
import type { XarRecipe } from "./recipe.ts";
import { XarModel } from "./xarModel.ts";

/** The model configuration of a recipe over data of some classes. */
export function modelConfig({ tokenizer, transformer }: XarRecipe, numClasses: number): XarModelConfig {
  return { tokenizer, transformer: transformerSchema.parse({ ...transformer, numClasses }) };
}

/** What a step takes: latents in the plan's order, noise, and the times that a past gives them. */
export function stepValues(
  { plan, valueWidth }: XarTransformer,
  past: NoisyPast,
  { labels, latents, stream }: LatentBatch,
): Record<string, Value> {
  const batch = labels.length;
  const maps = latents.data as Float32Array; // latents are float32
  const [map, length] = [maps.length / batch, plan.length * valueWidth];
  const arranged = new Float32Array(batch * length);
  for (let b = 0; b < batch; b++)
    arranged.set(plan.arrange(maps.subarray(b * map, (b + 1) * map)), b * length);
  const times = Array.from({ length: batch }, () =>
    past.times(plan.groups.map(() => logitNormalTime(stream))),
  );
  const shape = [batch, plan.length, valueWidth];
  return {
    labels: ints(labels, [batch]),
    latents: floats(arranged, shape),
    noise: floats(stream.normals(arranged.length), shape),
    ...timeValues(plan, past, Float32Array.from(times.flat())),
  };
}

/** The objective on held-out latents, always with the same noise. */
async function heldOutLoss(
  config: XarModelConfig,
  past: NoisyPast,
  set: LatentSet,
  weights: Weights,
  device: Device,
): Promise<Metrics> {
  const { transformer } = buildXar(config);
  const pictures = Array.from(set.labels, (_, i) => i);
  const latents = drawFromSet(set, pictures, RandomStream.from(0, "held-out/posterior"));
  const batch = { labels: set.labels, latents, stream: RandomStream.from(0, "held-out/paths") };
  const graph = trace(flowSpecs(transformer, past), (inputs) => {
    const { loss, groupLosses } = flowObjective(transformer, past, inputs);
    return { loss, groupLosses };
  });
  const out = await runOnce(graph, stepValues(transformer, past, batch), weights, device);
  const list = (name: string) => Array.from(out[name]?.data ?? []);
  return { validationLoss: list("loss")[0] ?? Number.NaN, validationEntityLoss: list("groupLosses") };
}

async function transformerRun(
  recipe: XarRecipe,
  describe: (set: ImageSet) => ModelDescription,
  context: StageContext,
): Promise<StageRun> {
  const { batchSize, accumulate, latentImages, past: pastName } = recipe.train.transformer;
  const { seed, device, earlier } = context;
  const past = noisyPasts[pastName];
  const frozen = withPrefix(earlier, klPrefix);
  const classes = (await context.data("train")).classNames.length;
  const config = modelConfig(recipe, classes);
  const { tokenizer, transformer, scopes } = buildXar(config);
  using codec = new KlCodec(tokenizer, frozen, device);
  const { set, validation, latents, heldOutLatents } = await latentSplits(
    codec,
    recipe.data,
    latentImages,
    context,
  );
  const programme = {
    graph: flowTraining(scopes.transformer, transformer, past),
    parameters: scopes.transformer.specs,
    values: (batch: LatentBatch) => stepValues(transformer, past, batch),
  };
  const task = new LatentTask(programme, latents, {
    ...{ batchSize, seed, initial: withPrefix(earlier, transformerPrefix) },
    conditioner: transformer.conditioner,
    condDropRate: transformer.config.condDropRate,
  });
  const observe = async (weights: Weights) => {
    const held = await heldOutLoss(config, past, heldOutLatents, weights, device);
    using model = new XarModel(describe(set), config, new Map([...frozen, ...weights]), device);
    const { metrics, ...shown } = await observeSamples(model, validation);
    return { metrics: { ...held, ...metrics }, ...shown };
  };
  return { task, observe, batchSize: batchSize * accumulate };
}

/** The programme of a recipe. */
export function xarStages(
  recipe: XarRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  const { transformer } = recipe.train;
  return [
    klStage(recipe),
    {
      name: "transformer",
      steps: transformer.steps,
      options: trainerOptions(transformer, defaultAdamW.undecayed),
      create: (context) => transformerRun(recipe, describe, context),
    },
  ];
}

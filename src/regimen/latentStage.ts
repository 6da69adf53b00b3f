/** The second stage of systems over continuous latents: a model on the latents of a frozen codec. */
import { z } from "zod";
import type { LatentCodec } from "../codec/types.ts";
import type { LabelConditioner } from "../conditioner/types.ts";
import type { ImageSet } from "../data/types.ts";
import { downsampleFactor } from "../nn/convAutoencoder.ts";
import type { Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import { RandomStream } from "../tensor/random.ts";
import { defaultAdamW } from "./adamw.ts";
import { meansInParts } from "./inParts.ts";
import { KlCodec } from "./klCodec.ts";
import type { KlConfig } from "./klConfig.ts";
import { buildKl, klPrefix } from "./klStage.ts";
import { drawFromSet, type LatentSet, latentSplits } from "./latentSet.ts";
import { type LatentProgramme, LatentTask } from "./latentTask.ts";
import { withPrefix } from "./multiScaleStages.ts";
import { observeSamples } from "./observing.ts";
import {
  type DataRecipe,
  stageFields as stage,
  stepCount,
  tokenImages,
  trainerOptions,
} from "./stageRecipe.ts";
import type { ImageModel, Stage, StageContext, StageRun } from "./system.ts";
import type { Metrics } from "./trainer.ts";

/** inferred: learning rate, schedule, batch and average of small models, ours. */
export const latentStageFields = {
  steps: stepCount.default(4000),
  ...stage,
  batchSize: stage.batchSize.default(64),
  learningRate: stage.learningRate.default(1e-3),
  schedule: stage.schedule.default("cosine"),
  warmup: stage.warmup.default(120),
  end: stage.end.default(0.02),
  weightDecay: stage.weightDecay.default(0.02),
  beta2: stage.beta2.default(0.96),
  clipNorm: stage.clipNorm.default(1),
  emaDecay: stage.emaDecay.default(0.999),
  tokenImages: tokenImages.default(20_480),
};
const latentStageSchema = z.strictObject(latentStageFields);

/** What the stage reads of a recipe. */
export interface LatentRecipe {
  readonly data: DataRecipe;
  readonly tokenizer: KlConfig;
  readonly train: { readonly transformer: z.infer<typeof latentStageSchema> };
}

/** Whether the autoencoder's map belongs to pictures of the data's size. */
export const mapFits = ({ data, tokenizer }: Pick<LatentRecipe, "data" | "tokenizer">): boolean =>
  data.size === tokenizer.latentSide * downsampleFactor(tokenizer);
export const mapMessage = {
  error: "latentSide times the pixels per site must be data.size",
  path: ["tokenizer", "latentSide"],
};

/** A model as its training sees it. */
export interface LatentTrainee {
  readonly programme: LatentProgramme;
  /** Starts the names of its parameters. */
  readonly prefix: string;
  readonly conditioner: Pick<LabelConditioner, "nullLabel">;
  /** Share of labels that are dropped. */
  readonly condDropRate: number;
  /** `loss` and `groupLosses` from the inputs of the programme. */
  objective(): Graph<string, "loss" | "groupLosses">;
  /** With the codec's weights and its own. */
  open(weights: Weights): ImageModel;
}

/** The objective on held-out latents, with the same draws for all weights. */
export async function heldOutFlow(
  trainee: Pick<LatentTrainee, "programme" | "objective">,
  latents: LatentSet,
  weights: Weights,
  imageSize: number,
  device: Device,
): Promise<Metrics> {
  const stream = RandomStream.from(0, "held-out");
  using program = await compile(trainee.objective(), { device, weights, prepack: false });
  const { loss, groupLosses } = await meansInParts(latents.labels.length, imageSize, (first, taken) => {
    const some = Array.from({ length: taken }, (_, i) => first + i);
    const labels = latents.labels.slice(first, first + taken);
    const batch = { labels, latents: drawFromSet(latents, some, stream), stream };
    return program.run(trainee.programme.values(batch));
  });
  return { validationLoss: loss[0] as number, validationGroupLoss: groupLosses }; // the first is a scalar
}

async function latentRun(
  recipe: LatentRecipe,
  traineeOf: (set: ImageSet) => LatentTrainee,
  context: StageContext,
  external: LatentCodec | undefined,
): Promise<StageRun> {
  const { batchSize, accumulate, tokenImages: count } = recipe.train.transformer;
  const { seed, device, earlier } = context;
  const frozen = withPrefix(earlier, klPrefix);
  using own = new KlCodec(buildKl(recipe.tokenizer).codec, frozen, device);
  const splits = await latentSplits(external ?? own, recipe.data, count, context);
  const trainee = traineeOf(splits.set);
  const { conditioner, condDropRate, prefix } = trainee;
  const initial = withPrefix(earlier, prefix);
  const options = { batchSize, seed, conditioner, condDropRate, initial };
  const task = new LatentTask(trainee.programme, splits.latents, options);
  const observe = async (weights: Weights) => {
    const held = await heldOutFlow(trainee, splits.heldOutLatents, weights, splits.validation.size, device);
    using model = trainee.open(new Map([...frozen, ...weights]));
    const { metrics, ...shown } = await observeSamples(model, splits.validation);
    return { metrics: { ...held, ...metrics }, ...shown };
  };
  return { task, observe, batchSize: batchSize * accumulate };
}

/** The stage of a recipe; a codec of one's own takes the place of the recipe's autoencoder. */
export function latentStage(
  recipe: LatentRecipe,
  traineeOf: (set: ImageSet, device: Device) => LatentTrainee,
  external?: LatentCodec,
): Stage {
  const { transformer } = recipe.train;
  return {
    name: "transformer",
    steps: transformer.steps,
    options: trainerOptions(transformer, defaultAdamW.undecayed),
    create: (context) => latentRun(recipe, (set) => traineeOf(set, context.device), context, external),
  };
}

/** The first stage of systems over continuous latents: their own KL autoencoder. */
import { z } from "zod";
import { KlAutoencoder, klRoundTripGraph } from "../codec/klAutoencoder.ts";
import { openPerceptualLoss } from "../nn/perceptual.ts";
import { Scope, type Weights } from "../nn/scope.ts";
import { defaultAdamW } from "./adamw.ts";
import type { KlConfig } from "./klConfig.ts";
import { KlTask } from "./klTask.ts";
import { observeRoundTrip } from "./observing.ts";
import {
  type DataRecipe,
  loaderOf,
  perceptualWeight,
  pixelStageFields,
  stepCount,
  trainerOptions,
} from "./stageRecipe.ts";
import type { Stage, StageContext } from "./system.ts";

/** Starts the names of its parameters in model files. */
export const klPrefix = "vae.";

/** The autoencoder over a fresh scope. */
export function buildKl(config: KlConfig) {
  const scope = Scope.root(klPrefix);
  return { scope, codec: new KlAutoencoder(scope, config) };
}

const lossSchema = z.strictObject({
  l1: z.number().min(0).max(100).default(1),
  l2: z.number().min(0).max(100).default(1),
  kl: z
    .number()
    .min(0)
    .max(100)
    .default(1e-3)
    .describe("Weight of the divergence in nats per latent number."),
  perceptual: perceptualWeight,
});

/** inferred: sizes and rates of small autoencoders, ours. */
export const klStageSchema = z.strictObject({
  ...pixelStageFields,
  steps: stepCount.default(4000),
  loss: lossSchema.prefault({}),
});

/** What the stage reads of a recipe. */
interface KlRecipe {
  readonly data: DataRecipe;
  readonly tokenizer: KlConfig;
  readonly train: { readonly tokenizer: z.infer<typeof klStageSchema> };
}

export function klStage(recipe: KlRecipe): Stage {
  const { tokenizer: own } = recipe.train;
  return {
    name: "tokenizer",
    steps: own.steps,
    options: trainerOptions(own, defaultAdamW.undecayed),
    create: async ({ data, seed, device, readWeights }: StageContext) => {
      const { batchSize, accumulate, loss } = own;
      const validation = await data("validation");
      const perceptual = loss.perceptual > 0 ? await openPerceptualLoss(readWeights) : undefined;
      const { scope, codec } = buildKl(recipe.tokenizer);
      const loader = loaderOf(recipe.data, await data("train"), batchSize, seed);
      const task = new KlTask(scope, klPrefix, codec, loader, seed, loss, perceptual);
      const observe = (weights: Weights) =>
        observeRoundTrip({ graph: klRoundTripGraph(codec), weights }, validation, device);
      return { task, observe, batchSize: batchSize * accumulate };
    },
  };
}

/** Stages that systems over a multi-scale residual tokenizer share: training it, and training something on its tokens. */
import { z } from "zod";
import { roundTripGraph, tokenizeGraph } from "../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import { openPerceptualLoss } from "../nn/perceptual.ts";
import { Scope, type Weights } from "../nn/scope.ts";
import { defaultAdamW } from "./adamw.ts";
import { CodecTask } from "./codecTask.ts";
import { trainableTokenizer } from "./multiScaleCodec.ts";
import type { TokenizerConfig } from "./multiScaleConfig.ts";
import { multiScaleTokenizer, tokenizerPrefix } from "./multiScaleModel.ts";
import { observeRoundTrip } from "./observing.ts";
import {
  type DataRecipe,
  loaderOf,
  perceptualWeight,
  pixelStageFields,
  restartFields,
  trainerOptions,
} from "./stageRecipe.ts";
import type { Stage, StageContext } from "./system.ts";
import type { TokenSplits } from "./tokenSet.ts";
import { tokenSplits } from "./tokenSplits.ts";

const lossSchema = z.strictObject({
  l1: z.number().min(0).max(100).default(1),
  l2: z.number().min(0).max(100).default(1),
  vq: z.number().min(0).max(100).default(1),
  perceptual: perceptualWeight,
});

/** inferred: the authors never released this stage. */
export const tokenizerStageSchema = z.strictObject({
  ...pixelStageFields,
  loss: lossSchema.prefault({}),
  ...restartFields,
});

/** What the tokenizer's stage reads of a recipe. */
interface TokenizerRecipe {
  readonly data: DataRecipe;
  readonly tokenizer: TokenizerConfig;
  readonly train: { readonly tokenizer: z.infer<typeof tokenizerStageSchema> };
}

export function multiScaleTokenizerStage(recipe: TokenizerRecipe): Stage {
  const { tokenizer: stage } = recipe.train;
  return {
    name: "tokenizer",
    steps: stage.steps,
    options: trainerOptions(stage, defaultAdamW.undecayed),
    create: async ({ data, seed, device, readWeights }: StageContext) => {
      const { batchSize, accumulate, loss, restartEvery, restartUntil, deadBelow, steps } = stage;
      const validation = await data("validation");
      const perceptual = loss.perceptual > 0 ? await openPerceptualLoss(readWeights) : undefined;
      const codec = trainableTokenizer(recipe.tokenizer, loss, perceptual);
      const task = new CodecTask(
        codec,
        loaderOf(recipe.data, await data("train"), batchSize, seed),
        { restartEvery, restartUntil: Math.floor(restartUntil * steps), deadBelow, seed },
        perceptual?.weights,
      );
      const observe = (weights: Weights) =>
        observeRoundTrip({ graph: roundTripGraph(codec.tokenizer), weights }, validation, device);
      return { task, observe, batchSize: batchSize * accumulate };
    },
  };
}

/** Earlier weights whose names start with a prefix. */
export const withPrefix = (weights: Weights, prefix: string): Weights =>
  new Map([...weights].filter(([name]) => name.startsWith(prefix)));

/** The frozen tokenizer of a stage, its weights, and the tokens that it gives. Errors: ABORTED. */
export async function frozenTokens(
  recipe: Pick<TokenizerRecipe, "data" | "tokenizer">,
  tokenImages: number,
  context: StageContext,
): Promise<TokenSplits & { readonly tokenizer: MultiScaleTokenizer; readonly frozen: Weights }> {
  const frozen = withPrefix(context.earlier, tokenizerPrefix);
  const tokenizer = multiScaleTokenizer(Scope.root(tokenizerPrefix), recipe.tokenizer);
  const { plan, imageSize } = tokenizer;
  const pictureShape = [recipe.tokenizer.inChannels, imageSize, imageSize];
  const request = { graph: tokenizeGraph(tokenizer), values: {}, weights: frozen, plan, pictureShape };
  const splits = await tokenSplits(request, recipe.data, tokenImages, context);
  return { ...splits, tokenizer, frozen };
}

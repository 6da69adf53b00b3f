/** NAR's two stages: its tokenizer, then the transformer on its tokens, with what is looked at between steps. */
import { idsGraph, vqRoundTripGraph } from "../../codec/vqTokenizer.ts";
import type { ImageSet } from "../../data/types.ts";
import type { Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { CodecTask } from "../../regimen/codecTask.ts";
import { meansInParts } from "../../regimen/inParts.ts";
import { withPrefix } from "../../regimen/multiScaleStages.ts";
import { observeRoundTrip, observeSamples } from "../../regimen/observing.ts";
import { ScaleWiseTask, undecayed } from "../../regimen/scaleWiseTask.ts";
import { loaderOf, trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Stage, StageContext, StageRun } from "../../regimen/system.ts";
import { tokenInputs } from "../../regimen/tokenSet.ts";
import { tokenSplits } from "../../regimen/tokenSplits.ts";
import { trainableVq } from "../../regimen/vqCodec.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { ints } from "../../runtime/values.ts";
import { int32 } from "../../tensor/tensor.ts";
import { buildNar, tokenizerPrefix, transformerPrefix } from "./build.ts";
import type { NarModelConfig } from "./config.ts";
import { NarModel } from "./narModel.ts";
import { latticeLoss, latticeTraining } from "./objective.ts";
import type { NarRecipe } from "./recipe.ts";

/** The model of a recipe on a set. */
export function modelConfig({ tokenizer, transformer }: NarRecipe, numClasses: number): NarModelConfig {
  return { tokenizer, transformer: { ...transformer, numClasses } };
}

function tokenizerStage(recipe: NarRecipe): Stage {
  const { tokenizer: stage } = recipe.train;
  return {
    name: "tokenizer",
    steps: stage.steps,
    options: trainerOptions(stage, defaultAdamW.undecayed),
    create: async ({ data, seed, device }: StageContext) => {
      const { batchSize, accumulate, loss, restartEvery, restartUntil, deadBelow, steps } = stage;
      const validation = await data("validation");
      const codec = trainableVq(tokenizerPrefix, recipe.tokenizer, loss);
      const loader = loaderOf(recipe.data, await data("train"), batchSize, seed);
      const restarts = { restartEvery, restartUntil: Math.floor(restartUntil * steps), deadBelow, seed };
      const observe = (weights: Weights) =>
        observeRoundTrip({ graph: vqRoundTripGraph(codec.tokenizer), weights }, validation, device);
      return { task: new CodecTask(codec, loader, restarts), observe, batchSize: batchSize * accumulate };
    },
  };
}

/** The map's tokens as one scale: what batches are drawn from. */
async function transformerRun(
  recipe: NarRecipe,
  describe: (set: ImageSet) => ModelDescription,
  context: StageContext,
): Promise<StageRun> {
  const { batchSize, accumulate, tokenImages } = recipe.train.transformer;
  const { seed, device, earlier } = context;
  const frozen = withPrefix(earlier, tokenizerPrefix);
  const { tokenizer } = trainableVq(tokenizerPrefix, recipe.tokenizer, recipe.train.tokenizer.loss);
  const plan = scalePlan([recipe.tokenizer.latentSide]);
  const { imageSize } = tokenizer;
  const pictureShape = [recipe.tokenizer.inChannels, imageSize, imageSize];
  const request = { graph: idsGraph(tokenizer), values: {}, weights: frozen, plan, pictureShape };
  const { set, validation, tokens, heldOutTokens } = await tokenSplits(
    request,
    recipe.data,
    tokenImages,
    context,
  );
  const config = modelConfig(recipe, set.classNames.length);
  const { transformer, scopes } = buildNar(config);
  const programme = {
    graph: latticeTraining(scopes.transformer, transformer),
    frozen: new Map(),
    keeps: [],
    values: async ({ labels, ids }: { readonly labels: Int32Array; readonly ids: Int32Array }) => ({
      labels: ints(labels, [labels.length]),
      ids: ints(ids, [labels.length, plan.length]),
    }),
  };
  const { conditioner, config: own } = transformer;
  const drawn = { conditioner, condDropRate: own.condDropRate, dropPathRate: 0, depth: transformer.layers };
  const task = new ScaleWiseTask(drawn, programme, scopes.transformer.specs, tokens, {
    ...{ batchSize, seed, initial: withPrefix(earlier, transformerPrefix) },
    plan: () => plan,
  });
  const observe = async (weights: Weights) => {
    const { ids, labels } = heldOutTokens;
    const graph = trace({ labels: int32("B"), ids: int32("B", plan.length) }, (x) =>
      latticeLoss(buildNar(config).transformer, x),
    );
    using program = await compile(graph, { device, weights, prepack: false });
    const { loss, accuracy } = await meansInParts(labels.length, imageSize, (first, taken) =>
      program.run(tokenInputs({ ids, labels, plan }, first, taken)),
    );
    using model = new NarModel(describe(set), config, new Map([...frozen, ...weights]), device);
    const { metrics, ...shown } = await observeSamples(model, validation);
    const held = { validationLoss: loss[0] as number, validationAccuracy: accuracy[0] as number }; // scalars
    return { metrics: { ...held, ...metrics }, ...shown };
  };
  return { task, observe, batchSize: batchSize * accumulate };
}

/** The programme of a recipe. */
export function narStages(
  recipe: NarRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  const { transformer } = recipe.train;
  return [
    tokenizerStage(recipe),
    {
      name: "transformer",
      steps: transformer.steps,
      options: trainerOptions(transformer, undecayed),
      create: (context) => transformerRun(recipe, describe, context),
    },
  ];
}

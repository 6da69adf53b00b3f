/** SAR's three stages: tokenizer, FlexVAR base, refinement of the base. */
import { poolMatrix } from "../../codec/scaleMatrices.ts";
import { groundTruth } from "../../context/pastSources.ts";
import type { ImageSet } from "../../data/types.ts";
import type { Weights } from "../../nn/scope.ts";
import { Scope } from "../../nn/scope.ts";
import { drawSchedule, possibleSides } from "../../plan/randomSchedule.ts";
import { scalePlan } from "../../plan/scales.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { CodecTask } from "../../regimen/codecTask.ts";
import { forcedProgramme, type Trainee } from "../../regimen/programmes.ts";
import { refineProgramme } from "../../regimen/refineMethods.ts";
import { type Programme, ScaleWiseTask, undecayed } from "../../regimen/scaleWiseTask.ts";
import { loaderOf, trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Stage, StageContext, StageRun } from "../../regimen/system.ts";
import { tokenSplits } from "../../regimen/tokenSplits.ts";
import type { RandomStream } from "../../tensor/random.ts";
import { FlexTransformer } from "./model.ts";
import { observeTokenizer, observeTransformer } from "./observe.ts";
import { tokenizeGraph } from "./programs.ts";
import { type SarRecipe, scheduleRule } from "./recipe.ts";
import { type SarModelConfig, transformerPrefix } from "./sarModel.ts";
import { FlexScaleWise } from "./scaleWise.ts";
import { FlexTokenizer } from "./tokenizer.ts";
import { tokenizerPrefix, trainableTokenizer } from "./trainableCodec.ts";

/** The model of a recipe on a set. */
export function modelConfig(recipe: SarRecipe, numClasses: number): SarModelConfig {
  const { tokenizer, transformer } = recipe;
  return { tokenizer, transformer: { ...transformer, numClasses } };
}

/** Sides that training meets, growing. */
function sidesOf(recipe: SarRecipe): readonly number[] {
  return recipe.schedules.random ? possibleSides(scheduleRule(recipe)) : recipe.transformer.patchNums;
}

/** The transformer of a training stage over a frozen tokenizer. */
export function sarTrainee(
  config: SarModelConfig,
  frozen: Weights,
): Trainee & { readonly model: FlexScaleWise } {
  const scope = Scope.root(transformerPrefix);
  const tokenizer = new FlexTokenizer(Scope.root(tokenizerPrefix), config.tokenizer);
  const transformer = new FlexTransformer(scope, config.transformer, config.tokenizer.vocabSize);
  const firstSize = (config.transformer.patchNums[0] ?? 1) ** 2;
  return { scope, frozen, model: new FlexScaleWise(tokenizer, transformer, firstSize) };
}

function tokenizerStage(recipe: SarRecipe): Stage {
  const { tokenizer: stage } = recipe.train;
  return {
    name: "tokenizer",
    steps: stage.steps,
    options: trainerOptions(stage, defaultAdamW.undecayed),
    create: async ({ data, seed, device }: StageContext) => {
      const { batchSize, accumulate, loss, scalesPerStep, restartUntil, steps } = stage;
      const { restartEvery, deadBelow } = stage;
      const validation = await data("validation");
      const codec = trainableTokenizer(recipe.tokenizer, loss, sidesOf(recipe), scalesPerStep);
      const task = new CodecTask(codec, loaderOf(recipe.data, await data("train"), batchSize, seed), {
        restartEvery,
        restartUntil: Math.floor(restartUntil * steps),
        deadBelow,
        seed,
      });
      const observe = (weights: Weights) => observeTokenizer(codec.tokenizer, weights, validation, device);
      return { task, observe, batchSize: batchSize * accumulate };
    },
  };
}

type TokenStage = SarRecipe["train"]["transformer"] | SarRecipe["train"]["refine"];

/** A stage over tokens: the pictures of all sides are tokenised once, schedules select from them. */
async function tokenStageRun(
  recipe: SarRecipe,
  stage: TokenStage,
  describe: (set: ImageSet) => ModelDescription,
  context: StageContext,
  programmeOf: (trainee: Trainee) => Programme,
): Promise<StageRun> {
  const { seed, device, earlier } = context;
  const { batchSize, accumulate, tokenImages } = stage;
  const frozen = new Map([...earlier].filter(([name]) => name.startsWith(tokenizerPrefix)));
  const tokenizer = new FlexTokenizer(Scope.root(tokenizerPrefix), recipe.tokenizer);
  const plan = scalePlan(sidesOf(recipe));
  const request = {
    graph: tokenizeGraph(tokenizer),
    values: { pool: poolMatrix(tokenizer.config.latentSide, plan) },
    weights: frozen,
    plan,
    pictureShape: [tokenizer.config.inChannels, tokenizer.imageSize, tokenizer.imageSize],
  };
  const { set, validation, tokens, heldOutTokens } = await tokenSplits(
    request,
    recipe.data,
    tokenImages,
    context,
  );
  const config = modelConfig(recipe, set.classNames.length);
  const trainee = sarTrainee(config, frozen);
  const rule = scheduleRule(recipe);
  const sides = (stream: RandomStream) =>
    recipe.schedules.random ? drawSchedule(rule, stream) : recipe.transformer.patchNums;
  const programme = programmeOf(trainee);
  const initial = new Map([...earlier].filter(([name]) => name.startsWith(transformerPrefix)));
  const task = new ScaleWiseTask(trainee.model, programme, trainee.scope.specs, tokens, {
    batchSize,
    seed,
    plan: (stream) => scalePlan(sides(stream)),
    initial,
  });
  const observe = (weights: Weights) =>
    observeTransformer(
      describe(set),
      config,
      new Map([...frozen, ...weights]),
      heldOutTokens,
      validation,
      device,
    );
  return { task, observe, batchSize: batchSize * accumulate };
}

/** The programme of a recipe. */
export function sarStages(
  recipe: SarRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  const { transformer, refine } = recipe.train;
  const base: Stage = {
    name: "transformer",
    steps: transformer.steps,
    options: trainerOptions(transformer, undecayed),
    create: (context) =>
      tokenStageRun(recipe, transformer, describe, context, (trainee) =>
        forcedProgramme(trainee, groundTruth),
      ),
  };
  const refinement: Stage = {
    name: "refine",
    steps: refine.steps,
    options: trainerOptions(refine, undecayed),
    create: (context) =>
      tokenStageRun(recipe, refine, describe, context, (trainee) => refineProgramme(trainee, refine)),
  };
  return [tokenizerStage(recipe), base, ...(refine.steps > 0 ? [refinement] : [])];
}

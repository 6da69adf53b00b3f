/** VAR's two stages, tokenizer and transformer, and refinement where asked for. */
import type { MultiScaleTokenizer } from "../../codec/multiScaleTokenizer.ts";
import type { ImageSet } from "../../data/types.ts";
import type { Weights } from "../../nn/scope.ts";
import { frozenTokens, multiScaleTokenizerStage, withPrefix } from "../../regimen/multiScaleStages.ts";
import { observeSamples } from "../../regimen/observing.ts";
import { refineProgramme } from "../../regimen/refineMethods.ts";
import { type Programme, ScaleWiseTask, undecayed } from "../../regimen/scaleWiseTask.ts";
import { trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Stage, StageContext, StageRun } from "../../regimen/system.ts";
import { heldOutScales, teacherForcing } from "../../regimen/teacherForcedScales.ts";
import type { VarRecipe } from "./recipe.ts";
import { transformerPrefix, varTrainee } from "./scaleWise.ts";
import { VarModel, type VarModelConfig } from "./varModel.ts";

/** The model of a recipe on a set. */
export function modelConfig(recipe: VarRecipe, numClasses: number): VarModelConfig {
  const { tokenizer, transformer } = recipe;
  return { tokenizer, transformer: { ...transformer, numClasses, patchNums: tokenizer.patchNums } };
}

type TokenStage = Pick<VarRecipe["train"]["transformer"], "batchSize" | "accumulate" | "tokenImages">;

/** A stage over tokens of the frozen tokenizer; it shows held-out losses per scale, and samples. */
async function tokenStageRun(
  recipe: VarRecipe,
  { batchSize, accumulate, tokenImages }: TokenStage,
  describe: (set: ImageSet) => ModelDescription,
  context: StageContext,
  programmeOf: (tokenizer: MultiScaleTokenizer, trainee: ReturnType<typeof varTrainee>) => Programme,
): Promise<StageRun> {
  const { seed, device, earlier } = context;
  const splits = await frozenTokens(recipe, tokenImages, context);
  const { tokenizer, frozen, set, validation, tokens, heldOutTokens } = splits;
  const config = modelConfig(recipe, set.classNames.length);
  const trainee = varTrainee(tokenizer, frozen, config.transformer);
  const task = new ScaleWiseTask(
    trainee.model,
    programmeOf(tokenizer, trainee),
    trainee.scope.specs,
    tokens,
    { batchSize, seed, plan: () => tokenizer.plan, initial: withPrefix(earlier, transformerPrefix) },
  );
  const observe = async (weights: Weights) => {
    const all = new Map([...frozen, ...weights]);
    const held = await heldOutScales(tokenizer, trainee.transformer, all, heldOutTokens, device);
    using model = new VarModel(describe(set), config, all, device);
    const { metrics, ...shown } = await observeSamples(model, validation);
    return { metrics: { ...held, ...metrics }, ...shown };
  };
  return { task, observe, batchSize: batchSize * accumulate };
}

/** The programme of a recipe. */
export function varStages(
  recipe: VarRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  const { transformer, refine } = recipe.train;
  const base: Stage = {
    name: "transformer",
    steps: transformer.steps,
    options: trainerOptions(transformer, undecayed),
    create: (context) => tokenStageRun(recipe, transformer, describe, context, teacherForcing),
  };
  const tokenizer = multiScaleTokenizerStage(recipe);
  if (refine === undefined || refine.steps === 0) return [tokenizer, base];
  const refinement: Stage = {
    name: "refine",
    steps: refine.steps,
    options: trainerOptions(refine, undecayed),
    create: (context) =>
      tokenStageRun(recipe, refine, describe, context, (_, trainee) => refineProgramme(trainee, refine)),
  };
  return [tokenizer, base, refinement];
}

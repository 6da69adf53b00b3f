/** HMAR's three stages: tokenizer, next-scale prediction, masked prediction over the frozen rest. */
import type { ImageSet } from "../../data/types.ts";
import type { Weights } from "../../nn/scope.ts";
import { ResidualScaleWise } from "../../regimen/multiScaleModel.ts";
import { frozenTokens, multiScaleTokenizerStage, withPrefix } from "../../regimen/multiScaleStages.ts";
import { observeSamples } from "../../regimen/observing.ts";
import { tokenWeights } from "../../regimen/scaleWeights.ts";
import { type Programme, ScaleWiseTask, undecayed } from "../../regimen/scaleWiseTask.ts";
import { trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Stage, StageContext, StageRun } from "../../regimen/system.ts";
import { heldOutScales, teacherForcing } from "../../regimen/teacherForcedScales.ts";
import type { Metrics } from "../../regimen/trainer.ts";
import { NextxError } from "../../tensor/errors.ts";
import { buildHmar, type HmarNetworks, maskedPrefix, nextScalePrefix } from "./build.ts";
import type { HmarModelConfig } from "./config.ts";
import { HmarModel } from "./hmarModel.ts";
import { heldOutMasked, maskedProgramme } from "./objective.ts";
import type { HmarRecipe } from "./recipe.ts";

type Describe = (set: ImageSet) => ModelDescription;
type Prepared = Awaited<ReturnType<typeof frozenTokens>>;

/** The model of a recipe on a set. */
export function modelConfig(
  { tokenizer, transformer, tailLayers }: Pick<HmarRecipe, "tokenizer" | "transformer" | "tailLayers">,
  numClasses: number,
): HmarModelConfig {
  const { patchNums } = tokenizer;
  return { tokenizer, transformer: { ...transformer, numClasses, patchNums }, tailLayers };
}

/** What a stage over tokens trains. */
interface Training {
  readonly networks: HmarNetworks;
  readonly programme: Programme;
  readonly parameters: HmarNetworks["scopes"]["masked"];
  readonly initial: Weights;
  /** Held-out numbers, and the weights with which samples are shown. */
  look(
    weights: Weights,
  ): Promise<{ readonly metrics: Metrics; readonly all: Weights; readonly refine: string }>;
}

async function tokenStageRun(
  recipe: HmarRecipe,
  { batchSize, accumulate, tokenImages }: HmarRecipe["train"]["masked"],
  describe: Describe,
  context: StageContext,
  train: (networks: HmarNetworks, prepared: Prepared) => Training,
): Promise<StageRun> {
  const prepared = await frozenTokens(recipe, tokenImages, context);
  const { set, validation, tokens } = prepared;
  const config = modelConfig(recipe, set.classNames.length);
  const { networks, programme, parameters, initial, look } = train(buildHmar(config), prepared);
  const model = new ResidualScaleWise(networks.tokenizer, networks.nextScale);
  const task = new ScaleWiseTask(model, programme, parameters.specs, tokens, {
    ...{ batchSize, seed: context.seed, initial },
    plan: () => networks.tokenizer.plan,
  });
  const observe = async (weights: Weights) => {
    const { metrics, all, refine } = await look(weights);
    using opened = new HmarModel(describe(set), config, all, context.device);
    const { metrics: samples, ...shown } = await observeSamples(opened, validation, { refine });
    return { metrics: { ...metrics, ...samples }, ...shown };
  };
  return { task, observe, batchSize: batchSize * accumulate };
}

function nextScaleTraining(recipe: HmarRecipe, context: StageContext) {
  return (networks: HmarNetworks, { tokenizer, frozen, heldOutTokens }: Prepared): Training => {
    const { nextScale: transformer, scopes } = networks;
    const weighting = recipe.train.nextScale.lossWeights;
    const weights = weighting === "plain" ? undefined : tokenWeights(tokenizer.plan, weighting);
    const trainee = { scope: scopes.nextScale, frozen, transformer };
    return {
      networks,
      programme: teacherForcing(networks.tokenizer, trainee, weights),
      parameters: scopes.nextScale,
      initial: withPrefix(context.earlier, nextScalePrefix),
      look: async (trained) => {
        const all = new Map([...frozen, ...trained]);
        const metrics = await heldOutScales(
          networks.tokenizer,
          transformer,
          all,
          heldOutTokens,
          context.device,
        );
        return { metrics, all, refine: "none" };
      },
    };
  };
}

/** Masked prediction begins as next-scale prediction's last layers and head, or where an earlier training left it. */
export function tailOf(networks: HmarNetworks, earlier: Weights): Weights {
  const begun = [...networks.scopes.masked.specs.keys()].flatMap((name) => {
    const value = earlier.get(name) ?? earlier.get(nextScalePrefix + name.slice(maskedPrefix.length));
    return value ? [[name, value] as const] : [];
  });
  return new Map(begun);
}

function maskedTrainingOf({ earlier, device }: StageContext) {
  return (networks: HmarNetworks, { frozen, heldOutTokens }: Prepared): Training => {
    const fixed = new Map([...frozen, ...withPrefix(earlier, nextScalePrefix)]);
    if (fixed.size === frozen.size)
      throw new NextxError("STAGE_MISSING_WEIGHTS", "Masked prediction needs a trained next-scale model.", {
        path: "masked",
        hint: "Train the stages before it first.",
      });
    const programme = maskedProgramme(networks, fixed); // describing asks for every parameter
    return {
      networks,
      programme,
      parameters: networks.scopes.masked,
      initial: tailOf(networks, earlier),
      look: async (trained) => {
        const all = new Map([...fixed, ...trained]);
        return { metrics: await heldOutMasked(networks, all, heldOutTokens, device), all, refine: "default" };
      },
    };
  };
}

/** The programme of a recipe. */
export function hmarStages(recipe: HmarRecipe, describe: Describe): readonly Stage[] {
  const { nextScale, masked } = recipe.train;
  const stage = (
    name: string,
    own: typeof masked,
    training: (context: StageContext) => (networks: HmarNetworks, prepared: Prepared) => Training,
  ): Stage => ({
    name,
    steps: own.steps,
    options: trainerOptions(own, undecayed),
    create: (context) => tokenStageRun(recipe, own, describe, context, training(context)),
  });
  return [
    multiScaleTokenizerStage(recipe),
    stage("next-scale", nextScale, (context) => nextScaleTraining(recipe, context)),
    stage("masked", masked, maskedTrainingOf),
  ];
}

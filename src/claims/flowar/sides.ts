/**
 * FlowAR and a VAR of as many parameters, each over a tokenizer of its own; FlowAR with other scales, with another
 * autoencoder, and the same weights sampled in other ways.
 */
import { klRoundTripGraph } from "../../codec/klAutoencoder.ts";
import { roundTripGraph } from "../../codec/multiScalePrograms.ts";
import { synthClassNames } from "../../data/synth/factors.ts";
import { buildKl, klPrefix } from "../../regimen/klStage.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import { teacherForcing } from "../../regimen/teacherForcedScales.ts";
import { buildFlowAr, transformerPrefix as flowPrefix } from "../../systems/flowar/build.ts";
import { flowArTraining } from "../../systems/flowar/objective.ts";
import { type FlowArRecipe, flowArRecipeSchema, flowArRecipes } from "../../systems/flowar/recipe.ts";
import { modelConfig } from "../../systems/flowar/stages.ts";
import { flowArSystem } from "../../systems/flowar/system.ts";
import { type VarRecipe, varRecipeSchema, varRecipes } from "../../systems/var/recipe.ts";
import { transformerPrefix, varTrainee } from "../../systems/var/scaleWise.ts";
import { modelConfig as varModelConfig } from "../../systems/var/stages.ts";
import { varSystem } from "../../systems/var/system.ts";
import { buildVar } from "../../systems/var/varModel.ts";
import { graphWork, type Side, type TrainedTokenizer } from "../contest/side.ts";

export interface FlowSidesOptions {
  /** Width of both; FlowAR has 2 + 2 layers and 2 blocks of its flow, VAR 6 layers. */
  readonly width: number;
  readonly numHeads: number;
  readonly tokenizerSteps: number;
  /** Steps of both. */
  readonly transformerSteps: number;
  readonly batchSize: number;
  readonly tokenImages: number;
  /** Scales of the ablation. */
  readonly otherScales: readonly number[];
  /** Numbers per site and channels of the swapped autoencoder. */
  readonly swapped: { readonly zChannels: number; readonly ch: number };
  /** Numbers of steps besides the default one. */
  readonly steps: readonly number[];
  /** Of ablations and other ways of sampling. */
  readonly seed: number;
}

export const sideNames = {
  flowar: "flowar",
  var: "var",
  scales: "flowar-scales",
  swapped: "flowar-swapped",
  constant: "flowar-constant",
  steps: (steps: number) => `flowar-steps-${steps}`,
} as const;

export const tokenizerNames = { kl: "kl", swapped: "kl-swapped", var: "var" } as const;

const numClasses = synthClassNames.length;

type Changes = Readonly<Record<"tokenizer" | "transformer", object>>;

function flowRecipe(options: FlowSidesOptions, { tokenizer, transformer }: Changes): FlowArRecipe {
  const { recipe } = flowArRecipes["synth-32"];
  const { width, numHeads, tokenizerSteps, transformerSteps, batchSize, tokenImages } = options;
  return flowArRecipeSchema.parse({
    ...recipe,
    tokenizer: { ...recipe.tokenizer, ...tokenizer },
    transformer: {
      ...recipe.transformer,
      ...{ embedDim: width, flowWidth: width, encoderNumHeads: numHeads, decoderNumHeads: numHeads },
      ...transformer,
    },
    train: {
      tokenizer: { steps: tokenizerSteps },
      transformer: { steps: transformerSteps, batchSize, tokenImages },
    },
  });
}

function varRecipeOf(options: FlowSidesOptions): VarRecipe {
  const { recipe } = varRecipes["synth-32"];
  const { width, numHeads, tokenizerSteps, transformerSteps, batchSize, tokenImages } = options;
  return varRecipeSchema.parse({
    ...recipe,
    transformer: { depth: 6, embedDim: width, numHeads, sharedAln: false },
    train: {
      tokenizer: { steps: tokenizerSteps },
      transformer: { steps: transformerSteps, batchSize, tokenImages },
    },
  });
}

/** A FlowAR side and what it is made from. */
function flowSide(name: string, tokenizer: string, recipe: FlowArRecipe) {
  const config = modelConfig(recipe, numClasses);
  const description: ModelDescription = {
    ...{ system: "flowar", config, classNames: [...synthClassNames], imageSize: recipe.data.size },
  };
  const { batchSize, steps } = recipe.train.transformer;
  const open: Side["open"] = (weights, device) => flowArSystem.open(description, weights, device);
  const side: Side = {
    ...{ name, tokenizer, description, open },
    training: {
      prefix: flowPrefix,
      steps: () => steps,
      stage: () => flowArSystem.stages(recipe)[1] as Stage, // autoencoder, transformer
      stepWork: () => {
        const { model, scopes } = buildFlowAr(config);
        return graphWork(flowArTraining(scopes.model, model), batchSize);
      },
    },
  };
  return { side, config, description };
}

function autoencoder(name: string, recipe: FlowArRecipe, description: ModelDescription): TrainedTokenizer {
  return {
    ...{ name, prefix: klPrefix, description },
    recipe: { data: recipe.data, tokenizer: recipe.tokenizer, train: recipe.train.tokenizer },
    stage: () => flowArSystem.stages(recipe)[0] as Stage, // autoencoder, transformer
    roundTrip: () => klRoundTripGraph(buildKl(recipe.tokenizer).codec),
  };
}

/** Everything that a contest needs. */
export function flowSides(options: FlowSidesOptions) {
  const recipes = {
    flowar: flowRecipe(options, { tokenizer: {}, transformer: {} }),
    scales: flowRecipe(options, { tokenizer: {}, transformer: { patchNums: [...options.otherScales] } }),
    swapped: flowRecipe(options, { tokenizer: options.swapped, transformer: {} }),
    var: varRecipeOf(options),
  };
  const { kl, swapped: otherKl, var: vq } = tokenizerNames;
  const own = flowSide(sideNames.flowar, kl, recipes.flowar);
  const scales = flowSide(sideNames.scales, kl, recipes.scales);
  const swapped = flowSide(sideNames.swapped, otherKl, recipes.swapped);
  const only = { seeds: [options.seed] };
  const again = { ...own.side, from: [sideNames.flowar], ...only };
  const { training: _, ...sampled } = again;
  const varConfig = varModelConfig(recipes.var, numClasses);
  const varDescription = { ...own.description, system: "var", config: varConfig };
  const varStage = (i: number) => varSystem.stages(recipes.var)[i] as Stage; // tokenizer, transformer
  const varSide: Side = {
    ...{ name: sideNames.var, tokenizer: vq, description: varDescription },
    open: (weights, device) => varSystem.open(varDescription, weights, device),
    training: {
      prefix: transformerPrefix,
      steps: () => options.transformerSteps,
      stage: () => varStage(1),
      stepWork: () => {
        const { tokenizer: frozen } = buildVar(varConfig);
        const trainee = varTrainee(frozen, new Map(), varConfig.transformer);
        return graphWork(teacherForcing(frozen, trainee).graph, options.batchSize);
      },
    },
  };
  const varTokenizer: TrainedTokenizer = {
    ...{ name: vq, prefix: tokenizerPrefix, description: varDescription },
    recipe: { data: recipes.var.data, tokenizer: recipes.var.tokenizer, train: recipes.var.train.tokenizer },
    stage: () => varStage(0),
    roundTrip: () => roundTripGraph(buildVar(varConfig).tokenizer),
  };
  const sides: readonly Side[] = [
    own.side,
    varSide,
    { ...scales.side, ...only },
    { ...swapped.side, ...only },
    { ...sampled, name: sideNames.constant, sampling: { cfgRamp: false } },
    ...options.steps.map(
      (steps): Side => ({
        ...sampled,
        ...{ name: sideNames.steps(steps), guidanceOf: sideNames.flowar, sampling: { steps } },
      }),
    ),
  ];
  return {
    sides,
    tokenizers: [
      autoencoder(kl, recipes.flowar, own.description),
      autoencoder(otherKl, recipes.swapped, swapped.description),
      varTokenizer,
    ],
    training: recipes,
    descriptions: { flowar: own.description, var: varDescription },
  };
}

/** VAR, and the steps from it to HMAR: Markov, weighted by scales, refined by masked prediction. One shipped tokenizer. */
import { synthClassNames } from "../../data/synth/factors.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import { teacherForcing } from "../../regimen/teacherForcedScales.ts";
import { buildHmar, maskedPrefix, nextScalePrefix } from "../../systems/hmar/build.ts";
import { maskedTraining } from "../../systems/hmar/objective.ts";
import { type HmarRecipe, hmarRecipeSchema, hmarRecipes } from "../../systems/hmar/recipe.ts";
import { modelConfig } from "../../systems/hmar/stages.ts";
import { hmarSystem } from "../../systems/hmar/system.ts";
import { varRecipeSchema } from "../../systems/var/recipe.ts";
import { transformerPrefix, varTrainee } from "../../systems/var/scaleWise.ts";
import { varSystem } from "../../systems/var/system.ts";
import { buildVar } from "../../systems/var/varModel.ts";
import { graphWork, type ShippedTokenizer, type Side } from "../contest/side.ts";

export interface LadderOptions {
  /** Name of the shipped VAR whose tokenizer all sides use. */
  readonly model: string;
  readonly transformer: { readonly depth: number; readonly embedDim: number; readonly numHeads: number };
  readonly tailLayers: number;
  readonly nextScaleSteps: number;
  readonly maskedSteps: number;
  readonly batchSize: number;
  readonly tokenImages: number;
  /** Of ablations and other schedules. */
  readonly seed: number;
  /** Passes of refinement by name, all over the same weights. */
  readonly schedules: Readonly<Record<string, string>>;
}

export const sideNames = {
  var: "var",
  plain: "markov-plain",
  markov: "markov",
  hmar: "hmar",
  schedule: (name: string) => `refine-${name}`,
} as const;

const numClasses = synthClassNames.length;

function recipeOf(options: LadderOptions, lossWeights: string): HmarRecipe {
  const { transformer, tailLayers, nextScaleSteps, maskedSteps, batchSize, tokenImages } = options;
  const { recipe } = hmarRecipes["synth-32"];
  return hmarRecipeSchema.parse({
    ...recipe,
    ...{ transformer, tailLayers },
    train: {
      nextScale: { steps: nextScaleSteps, batchSize, tokenImages, lossWeights },
      masked: { steps: maskedSteps, batchSize, tokenImages },
    },
  });
}

/** Everything that a contest needs; `sha256` is that of the shipped model's file. */
export function ladder(options: LadderOptions, sha256: string) {
  const { nextScaleSteps, maskedSteps, batchSize, tokenImages, seed, schedules, model } = options;
  const [weighted, plain] = [recipeOf(options, "lognorm"), recipeOf(options, "plain")];
  const { data, tokenizer, transformer } = weighted;
  const about = { classNames: [...synthClassNames], imageSize: data.size };
  const config = modelConfig(weighted, numClasses);
  const description: ModelDescription = { system: "hmar", config, ...about };
  const varConfig = { tokenizer, transformer: config.transformer };
  const varDescription: ModelDescription = { system: "var", config: varConfig, ...about };
  const varRecipe = (steps: number) =>
    varRecipeSchema.parse({
      ...{ data, tokenizer, transformer },
      train: { transformer: { steps, batchSize, tokenImages } },
    });
  const shared: ShippedTokenizer = { name: "shared", prefix: tokenizerPrefix, model, sha256 };
  const stageOf = (recipe: HmarRecipe, i: number) => hmarSystem.stages(recipe)[i] as Stage; // tokenizer, next scale, masked
  const hmarSide = {
    ...{ tokenizer: shared.name, description },
    open: ((weights, device) => hmarSystem.open(description, weights, device)) satisfies Side["open"],
  };
  const markov = (recipe: HmarRecipe) => ({
    ...hmarSide,
    sampling: { refine: "none" },
    training: {
      prefix: nextScalePrefix,
      steps: () => nextScaleSteps,
      stage: () => stageOf(recipe, 1),
      stepWork: () => {
        const { tokenizer: frozen, nextScale, scopes } = buildHmar(config);
        const trainee = { scope: scopes.nextScale, frozen: new Map(), transformer: nextScale };
        return graphWork(teacherForcing(frozen, trainee).graph, batchSize);
      },
    },
  });
  const sides: readonly Side[] = [
    {
      ...{ name: sideNames.var, tokenizer: shared.name, description: varDescription },
      open: (weights, device) => varSystem.open(varDescription, weights, device),
      training: {
        prefix: transformerPrefix,
        steps: (work) =>
          Math.round(
            (nextScaleSteps * work(sideNames.markov) + maskedSteps * work(sideNames.hmar)) /
              work(sideNames.var),
          ),
        stage: (steps) => varSystem.stages(varRecipe(steps))[1] as Stage, // tokenizer, transformer
        stepWork: () => {
          const { tokenizer: frozen } = buildVar(varConfig);
          const trainee = varTrainee(frozen, new Map(), varConfig.transformer);
          return graphWork(teacherForcing(frozen, trainee).graph, batchSize);
        },
      },
    },
    { name: sideNames.plain, ...markov(plain), seeds: [seed] },
    { name: sideNames.markov, ...markov(weighted) },
    {
      ...{ name: sideNames.hmar, ...hmarSide, from: [sideNames.markov], sampling: { refine: "default" } },
      training: {
        prefix: maskedPrefix,
        steps: () => maskedSteps,
        stage: () => stageOf(weighted, 2),
        stepWork: () => graphWork(maskedTraining(buildHmar(config)), batchSize),
      },
    },
  ];
  const others = Object.entries(schedules).map(
    ([name, refine]): Side => ({
      ...{
        name: sideNames.schedule(name),
        ...hmarSide,
        from: [sideNames.markov, sideNames.hmar],
        guidanceOf: sideNames.hmar,
      },
      ...{ sampling: { refine }, seeds: [seed] },
    }),
  );
  return {
    /** Of HMAR's sides. */
    config,
    sides: [...sides, ...others],
    tokenizers: [shared],
    training: { weighted, plain, var: varRecipe(1), model: sha256 },
  };
}

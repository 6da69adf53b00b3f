/** VAR as the rest of nextx sees it. */

import { advanceGraph, decodeGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import type { ImageSet } from "../../data/types.ts";
import { startGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import { positionsGraph } from "../../mixer/levelledTransformer.ts";
import { scalePlan } from "../../plan/scales.ts";
import { modelConfigs, sameSchedules } from "../../regimen/modelConfigs.ts";
import { multiScaleSubject } from "../../regimen/multiScaleSubject.ts";
import type { ImageSystem, ModelDescription } from "../../regimen/system.ts";
import { varLoop } from "./exportLoop.ts";
import { varOfficial } from "./official.ts";
import { varParity } from "./parity.ts";
import { varRecipeSchema, varRecipes } from "./recipe.ts";
import { modelConfig, varStages } from "./stages.ts";
import { buildVar, VarModel, varModelSchema, varSamplingSchema } from "./varModel.ts";

function describe(recipe: unknown, set: ImageSet): ModelDescription {
  const config = modelConfig(varRecipeSchema.parse(recipe), set.classNames.length);
  return { system: "var", config, classNames: set.classNames, imageSize: set.size };
}

const configs = modelConfigs(varModelSchema, (config) => ({
  imageSize: buildVar(config).tokenizer.imageSize,
  agreements: [sameSchedules(config)],
}));

export const varSystem: ImageSystem = {
  id: "var",
  title: "Visual Autoregressive Modeling",
  source: "arXiv 2404.02905; github.com/FoundationVision/VAR (MIT)",
  description: "Next-scale prediction: all tokens of the next resolution at once, coarse to fine.",
  recipes: varRecipes,
  defaultRecipe: "synth-32",
  recipeSchema: varRecipeSchema,
  samplingSchema: varSamplingSchema,
  data: (recipe) => varRecipeSchema.parse(recipe).data,
  stages: (recipe) => varStages(varRecipeSchema.parse(recipe), (set) => describe(recipe, set)),
  describe,
  recipeOf: (description) => {
    const { tokenizer, transformer } = configs.read(description);
    const { numClasses: _, patchNums: __, ...rest } = transformer;
    return { tokenizer, transformer: rest };
  },
  parameters: (description) => {
    const { tokenizer, transformer, scopes } = buildVar(configs.read(description));
    for (const graph of [tokenizeGraph, decodeGraph]) graph(tokenizer); // describing asks for every parameter
    startGraph(transformer, 1, transformer.firstSize);
    stepGraph(transformer, 1);
    positionsGraph(transformer);
    advanceGraph(tokenizer, transformer);
    return new Map([...scopes.tokenizer.specs, ...scopes.transformer.specs]);
  },
  tokensPerPicture: (description) => scalePlan(configs.read(description).tokenizer.patchNums).length,
  open: async (description, weights, device) =>
    new VarModel(description, configs.readWhole(description), weights, device),
  scaleWise: (description, weights, sides) => {
    const { tokenizer, transformer } = buildVar(configs.read(description));
    return multiScaleSubject(tokenizer, transformer, weights, sides);
  },
  exportLoop: async (description, weights, settings) =>
    varLoop({ ...description, config: configs.readWhole(description) }, weights, settings),
  official: varOfficial,
  parity: varParity,
};

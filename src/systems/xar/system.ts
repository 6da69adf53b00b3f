/** xAR as the rest of nextx sees it. */
import { latentsGraph, picturesGraph } from "../../codec/klAutoencoder.ts";
import type { ImageSet } from "../../data/types.ts";
import { flowGroupGraph } from "../../decoding/flowGroupGenerator.ts";
import { entityPlan } from "../../plan/entities.ts";
import { modelConfigs } from "../../regimen/modelConfigs.ts";
import type { ImageSystem, ModelDescription } from "../../regimen/system.ts";
import { buildXar } from "./build.ts";
import { xarModelSchema } from "./config.ts";
import { xarOfficial } from "./official.ts";
import { xarParity } from "./parity.ts";
import { xarRecipeSchema, xarRecipes } from "./recipe.ts";
import { modelConfig, xarStages } from "./stages.ts";
import { XarModel, xarSamplingSchema } from "./xarModel.ts";

function describe(recipe: unknown, set: ImageSet): ModelDescription {
  const config = modelConfig(xarRecipeSchema.parse(recipe), set.classNames.length);
  return { system: "xar", config, classNames: set.classNames, imageSize: set.size };
}

const configs = modelConfigs(xarModelSchema, (config) => ({
  imageSize: buildXar(config).tokenizer.imageSize,
}));

export const xarSystem: ImageSystem = {
  id: "xar",
  title: "Next-X Prediction",
  source:
    "arXiv 2502.20388; github.com/OliverRensu/xAR (no licence: re-implemented from facts, numbers compared)",
  description:
    "The next entity (token, cell, sub-sample, scale or whole map) by flow matching, learned from noisy context.",
  recipes: xarRecipes,
  defaultRecipe: "synth-32",
  recipeSchema: xarRecipeSchema,
  samplingSchema: xarSamplingSchema,
  data: (recipe) => xarRecipeSchema.parse(recipe).data,
  stages: (recipe) => xarStages(xarRecipeSchema.parse(recipe), (set) => describe(recipe, set)),
  describe,
  recipeOf: (description) => {
    const { tokenizer, transformer } = configs.read(description);
    const { numClasses: _, ...rest } = transformer;
    return { tokenizer, transformer: rest };
  },
  parameters: (description) => {
    const { tokenizer, transformer, scopes } = buildXar(configs.read(description));
    for (const graph of [latentsGraph, picturesGraph]) graph(tokenizer); // describing asks for every parameter
    flowGroupGraph(transformer, 1);
    return new Map([...scopes.tokenizer.specs, ...scopes.transformer.specs]);
  },
  tokensPerPicture: (description, settings) => {
    const { tokenizer, transformer } = configs.read(description);
    const { length } = entityPlan(transformer.entity, tokenizer.latentSide, transformer.parts);
    return length * xarSamplingSchema.parse(settings).steps;
  },
  open: async (description, weights, device) =>
    new XarModel(description, configs.readWhole(description), weights, device),
  parity: xarParity,
  official: xarOfficial,
};

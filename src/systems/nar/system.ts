/** NAR as the rest of nextx sees it. */
import { idsGraph, pictureGraph } from "../../codec/vqTokenizer.ts";
import type { ImageSet } from "../../data/types.ts";
import { latticeGraph } from "../../decoding/latticeGenerator.ts";
import { modelConfigs } from "../../regimen/modelConfigs.ts";
import type { ImageSystem, ModelDescription } from "../../regimen/system.ts";
import { buildNar } from "./build.ts";
import { narModelSchema } from "./config.ts";
import { NarModel, narSamplingSchema } from "./narModel.ts";
import { narOfficial } from "./official.ts";
import { narParity } from "./parity.ts";
import { narRecipeSchema, narRecipes } from "./recipe.ts";
import { modelConfig, narStages } from "./stages.ts";

function describe(recipe: unknown, set: ImageSet): ModelDescription {
  const config = modelConfig(narRecipeSchema.parse(recipe), set.classNames.length);
  return { system: "nar", config, classNames: set.classNames, imageSize: set.size };
}

const configs = modelConfigs(narModelSchema, (config) => ({
  imageSize: buildNar(config).tokenizer.imageSize,
}));

export const narSystem: ImageSystem = {
  id: "nar",
  title: "Neighboring Autoregressive Modeling",
  source: "arXiv 2503.10696; github.com/ThisisBillhe/NAR (MIT), on LlamaGen, arXiv 2406.06525 (MIT)",
  description:
    "Next-neighbour prediction: all tokens at the next distance from the first one, one head per axis.",
  recipes: narRecipes,
  defaultRecipe: "synth-32",
  recipeSchema: narRecipeSchema,
  samplingSchema: narSamplingSchema,
  data: (recipe) => narRecipeSchema.parse(recipe).data,
  stages: (recipe) => narStages(narRecipeSchema.parse(recipe), (set) => describe(recipe, set)),
  describe,
  recipeOf: (description) => {
    const { tokenizer, transformer } = configs.read(description);
    const { numClasses: _, ...rest } = transformer;
    return { tokenizer, transformer: rest };
  },
  parameters: (description) => {
    const { tokenizer, transformer, scopes } = buildNar(configs.read(description));
    for (const graph of [idsGraph, pictureGraph]) graph(tokenizer); // describing asks for every parameter
    latticeGraph(transformer, 1, "prefix");
    latticeGraph(transformer, 1, "group");
    return new Map([...scopes.tokenizer.specs, ...scopes.transformer.specs]);
  },
  tokensPerPicture: (description) => configs.read(description).tokenizer.latentSide ** 2,
  open: async (description, weights, device) =>
    new NarModel(description, configs.readWhole(description), weights, device),
  parity: narParity,
  official: narOfficial,
};

/** HMAR as the rest of nextx sees it. */
import { advanceGraph, decodeGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import type { ImageSet } from "../../data/types.ts";
import { aloneGraph, startGraph } from "../../decoding/groupPrograms.ts";
import { positionsGraph } from "../../mixer/levelledTransformer.ts";
import { scalePlan } from "../../plan/scales.ts";
import { modelConfigs, sameSchedules } from "../../regimen/modelConfigs.ts";
import { multiScaleSubject } from "../../regimen/multiScaleSubject.ts";
import type { ImageSystem, ModelDescription } from "../../regimen/system.ts";
import { buildHmar } from "./build.ts";
import { hmarModelSchema } from "./config.ts";
import { HmarModel, hmarSamplingSchema } from "./hmarModel.ts";
import { hmarOfficial } from "./official.ts";
import { hmarParity } from "./parity.ts";
import { refineGraph } from "./programs.ts";
import { hmarRecipeSchema, hmarRecipes } from "./recipe.ts";
import { readSchedule } from "./refineSchedule.ts";
import { hmarStages, modelConfig } from "./stages.ts";

function describe(recipe: unknown, set: ImageSet): ModelDescription {
  const config = modelConfig(hmarRecipeSchema.parse(recipe), set.classNames.length);
  return { system: "hmar", config, classNames: set.classNames, imageSize: set.size };
}

const configs = modelConfigs(hmarModelSchema, (config) => ({
  imageSize: buildHmar(config).tokenizer.imageSize,
  agreements: [sameSchedules(config)],
}));

export const hmarSystem: ImageSystem = {
  id: "hmar",
  title: "Hierarchical Masked Autoregressive Modeling",
  source: "arXiv 2506.04421; github.com/NVlabs/HMAR (noncommercial: numbers compared, nothing copied)",
  description: "Next-scale prediction from the picture so far alone, then masked refinement inside a scale.",
  recipes: hmarRecipes,
  defaultRecipe: "synth-32",
  recipeSchema: hmarRecipeSchema,
  samplingSchema: hmarSamplingSchema,
  data: (recipe) => hmarRecipeSchema.parse(recipe).data,
  stages: (recipe) => hmarStages(hmarRecipeSchema.parse(recipe), (set) => describe(recipe, set)),
  describe,
  recipeOf: (description) => {
    const { tokenizer, transformer, tailLayers } = configs.read(description);
    const { numClasses: _, patchNums: __, ...rest } = transformer;
    return { tokenizer, transformer: rest, tailLayers };
  },
  parameters: (description) => {
    const { tokenizer, nextScale, masked, scopes } = buildHmar(configs.read(description));
    for (const graph of [tokenizeGraph, decodeGraph]) graph(tokenizer); // describing asks for every parameter
    for (const model of [nextScale, masked]) startGraph(model, 1, model.firstSize);
    aloneGraph(nextScale, 1);
    refineGraph(tokenizer, masked);
    positionsGraph(nextScale);
    advanceGraph(tokenizer, nextScale);
    return new Map([...scopes.tokenizer.specs, ...scopes.nextScale.specs, ...scopes.masked.specs]);
  },
  tokensPerPicture: (description, settings) => {
    const plan = scalePlan(configs.read(description).tokenizer.patchNums);
    const schedule = readSchedule(hmarSamplingSchema.parse(settings).refine, plan);
    return plan.groups.reduce((sum, { size, index }) => sum + size * (schedule[index]?.length ?? 1), 0);
  },
  open: async (description, weights, device) =>
    new HmarModel(description, configs.readWhole(description), weights, device),
  scaleWise: (description, weights, sides) => {
    const { tokenizer, nextScale } = buildHmar(configs.read(description));
    return multiScaleSubject(tokenizer, nextScale, weights, sides);
  },
  parity: hmarParity,
  official: hmarOfficial,
};

/** SAR, with its FlexVAR base, as the rest of nextx sees it. */
import type { ImageSet } from "../../data/types.ts";
import { startGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import { scalePlan } from "../../plan/scales.ts";
import { modelConfigs } from "../../regimen/modelConfigs.ts";
import type { ImageSystem, ModelDescription } from "../../regimen/system.ts";
import { sarLoop } from "./exportLoop.ts";
import { sarOfficial } from "./official.ts";
import { sarParity } from "./parity.ts";
import { advanceGraph, decodeGraph, positionsGraph, tokenizeGraph } from "./programs.ts";
import { sarRecipeSchema, sarRecipes, usualSchedules } from "./recipe.ts";
import { buildSar, SarModel, sarModelSchema, sarSamplingSchema } from "./sarModel.ts";
import { modelConfig, sarStages } from "./stages.ts";
import { sarSubject } from "./subject.ts";

function describe(recipe: unknown, set: ImageSet): ModelDescription {
  const config = modelConfig(sarRecipeSchema.parse(recipe), set.classNames.length);
  return { system: "sar", config, classNames: set.classNames, imageSize: set.size };
}

const configs = modelConfigs(sarModelSchema, (config) => ({
  imageSize: buildSar(config).tokenizer.imageSize,
}));

export const sarSystem: ImageSystem = {
  id: "sar",
  title: "Self-Autoregressive Refinement",
  source: "arXiv 2512.06421; github.com/GengzeZhou/SAR (MIT), on FlexVAR, arXiv 2502.20313",
  description: "Refines a next-scale model on its own predictions; the base takes any schedule of scales.",
  recipes: sarRecipes,
  defaultRecipe: "synth-32",
  recipeSchema: sarRecipeSchema,
  samplingSchema: sarSamplingSchema,
  data: (recipe) => sarRecipeSchema.parse(recipe).data,
  stages: (recipe) => sarStages(sarRecipeSchema.parse(recipe), (set) => describe(recipe, set)),
  describe,
  recipeOf: (description) => {
    const { tokenizer, transformer } = configs.read(description);
    const { numClasses: _, ...rest } = transformer;
    return { tokenizer, transformer: rest };
  },
  usualRecipe: (description) => {
    const schedules = usualSchedules(configs.read(description).transformer.patchNums);
    return schedules ? { schedules } : {};
  },
  parameters: (description) => {
    const parsed = configs.read(description);
    const { tokenizer, transformer, scopes } = buildSar(parsed);
    for (const graph of [tokenizeGraph, decodeGraph]) graph(tokenizer); // describing asks for every parameter
    startGraph(transformer, 1, (parsed.transformer.patchNums[0] ?? 1) ** 2);
    stepGraph(transformer, 1);
    positionsGraph(transformer);
    advanceGraph(tokenizer, transformer);
    return new Map([...scopes.tokenizer.specs, ...scopes.transformer.specs]);
  },
  tokensPerPicture: (description, settings) => {
    const { schedule } = sarSamplingSchema.parse(settings);
    return scalePlan(schedule ?? configs.read(description).transformer.patchNums).length;
  },
  open: async (description, weights, device) =>
    new SarModel(description, configs.readWhole(description), weights, device),
  scaleWise: (description, weights, sides) => sarSubject(configs.read(description), weights, sides),
  exportLoop: async (description, ...rest) =>
    sarLoop({ ...description, config: configs.readWhole(description) }, ...rest),
  official: sarOfficial,
  parity: sarParity,
};

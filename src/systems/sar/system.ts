/** SAR, with its FlexVAR base, as the rest of nextx sees it. */
import type { ImageSet } from "../../data/types.ts";
import { startGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import { scalePlan } from "../../plan/scales.ts";
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
  recipeOf: ({ config }) => {
    const { tokenizer, transformer } = sarModelSchema.parse(config);
    const { numClasses: _, ...rest } = transformer;
    return { tokenizer, transformer: rest };
  },
  usualRecipe: ({ config }) => {
    const schedules = usualSchedules(sarModelSchema.parse(config).transformer.patchNums);
    return schedules ? { schedules } : {};
  },
  parameters: ({ config }) => {
    const parsed = sarModelSchema.parse(config);
    const { tokenizer, transformer, scopes } = buildSar(parsed);
    for (const graph of [tokenizeGraph, decodeGraph]) graph(tokenizer); // describing asks for every parameter
    startGraph(transformer, 1, (parsed.transformer.patchNums[0] ?? 1) ** 2);
    stepGraph(transformer, 1);
    positionsGraph(transformer);
    advanceGraph(tokenizer, transformer);
    return new Map([...scopes.tokenizer.specs, ...scopes.transformer.specs]);
  },
  tokensPerPicture: ({ config }, settings) => {
    const { schedule } = sarSamplingSchema.parse(settings);
    return scalePlan(schedule ?? sarModelSchema.parse(config).transformer.patchNums).length;
  },
  open: async (description, weights, device) =>
    new SarModel(description, sarModelSchema.parse(description.config), weights, device),
  scaleWise: ({ config }, weights, sides) => sarSubject(sarModelSchema.parse(config), weights, sides),
  exportLoop: sarLoop,
  official: sarOfficial,
  parity: sarParity,
};

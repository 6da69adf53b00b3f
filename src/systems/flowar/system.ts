/** FlowAR as the rest of nextx sees it. */
import { latentsGraph, picturesGraph } from "../../codec/klAutoencoder.ts";
import type { ImageSet } from "../../data/types.ts";
import { classGraph, conditionsGraph, inputGraph, velocityGraph } from "../../decoding/flowScaleGenerator.ts";
import { scalePlan } from "../../plan/scales.ts";
import { modelConfigs } from "../../regimen/modelConfigs.ts";
import type { ImageSystem, ModelDescription } from "../../regimen/system.ts";
import { buildFlowAr } from "./build.ts";
import { flowArModelSchema } from "./config.ts";
import { FlowArModel, flowArSamplingSchema, timesOf } from "./flowArModel.ts";
import { flowArOfficial } from "./official.ts";
import { flowArParity } from "./parity.ts";
import { flowArRecipeSchema, flowArRecipes } from "./recipe.ts";
import { flowArStages, modelConfig } from "./stages.ts";

function describe(recipe: unknown, set: ImageSet): ModelDescription {
  const config = modelConfig(flowArRecipeSchema.parse(recipe), set.classNames.length);
  return { system: "flowar", config, classNames: set.classNames, imageSize: set.size };
}

const configs = modelConfigs(flowArModelSchema, (config) => {
  const { tokenizer, transformer } = config;
  const { patchNums, latentWidth } = transformer;
  return {
    imageSize: buildFlowAr(config).codec.imageSize,
    agreements: [
      { path: "transformer.patchNums", is: patchNums.at(-1), shouldBe: tokenizer.latentSide },
      { path: "transformer.latentWidth", is: latentWidth, shouldBe: tokenizer.zChannels },
    ],
  };
});

export const flowArSystem: ImageSystem = {
  id: "flowar",
  title: "FlowAR",
  source: "arXiv 2412.15205; github.com/OliverRensu/FlowAR (no licence: numbers compared, nothing copied)",
  description:
    "Next-scale prediction on continuous latents: a transformer says what each site is about, a flow makes it.",
  recipes: flowArRecipes,
  defaultRecipe: "synth-32",
  recipeSchema: flowArRecipeSchema,
  samplingSchema: flowArSamplingSchema,
  data: (recipe) => flowArRecipeSchema.parse(recipe).data,
  stages: (recipe) => flowArStages(flowArRecipeSchema.parse(recipe), (set) => describe(recipe, set)),
  describe,
  recipeOf: (description) => {
    const { tokenizer, transformer } = configs.read(description);
    const { numClasses: _, latentWidth: __, ...rest } = transformer;
    return { tokenizer, transformer: rest };
  },
  parameters: (description) => {
    const { codec, model, scopes } = buildFlowAr(configs.read(description));
    for (const graph of [latentsGraph, picturesGraph]) graph(codec); // describing asks for every parameter
    for (const graph of [classGraph, conditionsGraph, inputGraph, velocityGraph]) graph(model);
    return new Map([...scopes.codec.specs, ...scopes.model.specs]);
  },
  // The flow's passes count as many tokens as they compute layers, compared with the transformer's.
  tokensPerPicture: (description, settings) => {
    const { patchNums, flowDepth, encoderDepth, decoderDepth } = configs.read(description).transformer;
    const steps = timesOf(flowArSamplingSchema.parse(settings)).length - 1;
    const passes = 1 + (steps * flowDepth) / (encoderDepth + decoderDepth);
    return Math.ceil(scalePlan(patchNums).length * passes);
  },
  open: async (description, weights, device) =>
    new FlowArModel(description, configs.readWhole(description), weights, device),
  parity: flowArParity,
  official: flowArOfficial,
};

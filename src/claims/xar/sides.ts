/** One network over one autoencoder's latents, trained on every kind of past and of entity that is compared. */
import { klRoundTripGraph } from "../../codec/klAutoencoder.ts";
import { noisyPasts } from "../../context/noisyPast.ts";
import { synthClassNames } from "../../data/synth/factors.ts";
import { klPrefix } from "../../regimen/klStage.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import { buildXar, transformerPrefix } from "../../systems/xar/build.ts";
import type { XarModelConfig } from "../../systems/xar/config.ts";
import { flowTraining } from "../../systems/xar/objective.ts";
import { type XarRecipe, xarRecipeSchema, xarRecipes } from "../../systems/xar/recipe.ts";
import { modelConfig } from "../../systems/xar/stages.ts";
import { xarSystem } from "../../systems/xar/system.ts";
import { graphWork, type Side, type TrainedTokenizer } from "../contest/side.ts";

export interface EntityOptions {
  readonly embedDim: number;
  readonly numHeads: number;
  /** Of each of the two stacks. */
  readonly depth: number;
  readonly tokenizerSteps: number;
  /** Steps of all sides: they see the same latents with the same layers. */
  readonly transformerSteps: number;
  readonly batchSize: number;
  readonly tokenImages: number;
  /** Passes per entity when sampling. */
  readonly steps: number;
  /** Sides beside the system and teacher forcing. */
  readonly ablations: readonly SideName[];
  /** Of ablations. */
  readonly seed: number;
}

/** The system, teacher forcing, and what else differs from the system in one thing. */
export const sideNames = {
  xar: "xar",
  clean: "teacher-forcing",
  token: "token",
  image: "image",
  increasing: "increasing",
  decreasing: "decreasing",
  subSample: "sub-sample",
  scale: "scale",
} as const;
export type SideName = (typeof sideNames)[keyof typeof sideNames];

type Form = Pick<XarRecipe["transformer"], "entity" | "parts"> &
  Pick<XarRecipe["train"]["transformer"], "past">;
const cells = { entity: "cell", parts: 2, past: "random" } as const;
const forms: Readonly<Record<SideName, Form>> = {
  xar: cells,
  "teacher-forcing": { ...cells, past: "clean" },
  token: { ...cells, entity: "token" },
  image: { ...cells, entity: "image" },
  increasing: { ...cells, past: "increasing" },
  decreasing: { ...cells, past: "decreasing" },
  "sub-sample": { ...cells, entity: "sub-sample" },
  scale: { ...cells, entity: "scale", parts: 4 },
};

/** Sides beside those that show what the paper's ablations say: a result stands without them. */
const further: ReadonlySet<SideName> = new Set(["increasing", "decreasing", "sub-sample", "scale"]);

/** Name of the tokenizer that all share. */
export const tokenizerName = "shared";
const numClasses = synthClassNames.length;

/** The recipe of a side. */
export function recipeOf(name: SideName, options: EntityOptions): XarRecipe {
  const { embedDim, numHeads, depth, tokenizerSteps, transformerSteps, batchSize, tokenImages } = options;
  const { past, ...entity } = forms[name];
  const { recipe } = xarRecipes["synth-32"];
  return xarRecipeSchema.parse({
    ...recipe,
    transformer: {
      ...{ embedDim, encoderDepth: depth, decoderDepth: depth },
      ...{ encoderNumHeads: numHeads, decoderNumHeads: numHeads, ...entity },
    },
    train: {
      tokenizer: { steps: tokenizerSteps },
      transformer: { steps: transformerSteps, batchSize, tokenImages, past },
    },
  });
}

/** Model configuration of a side on the procedural pictures. */
export const configOf = (name: SideName, options: EntityOptions): XarModelConfig =>
  modelConfig(recipeOf(name, options), numClasses);

/** Everything that a contest needs. */
export function entitySides(options: EntityOptions) {
  const names = [sideNames.xar, sideNames.clean, ...options.ablations];
  const recipes = Object.fromEntries(names.map((name) => [name, recipeOf(name, options)]));
  const own = recipeOf(sideNames.xar, options);
  const describe = (config: XarModelConfig): ModelDescription => ({
    ...{ system: "xar", config, classNames: [...synthClassNames], imageSize: own.data.size },
  });
  const stageOf = (recipe: XarRecipe, i: number) => xarSystem.stages(recipe)[i] as Stage; // autoencoder, transformer
  const tokenizer: TrainedTokenizer = {
    ...{ name: tokenizerName, prefix: klPrefix, description: describe(configOf(sideNames.xar, options)) },
    recipe: { data: own.data, tokenizer: own.tokenizer, train: own.train.tokenizer },
    stage: () => stageOf(own, 0),
    roundTrip: () => klRoundTripGraph(buildXar(configOf(sideNames.xar, options)).tokenizer),
  };
  const sideOf = (name: SideName): Side => {
    const description = describe(configOf(name, options));
    const isAblation = options.ablations.includes(name);
    return {
      ...{ name, description, tokenizer: tokenizerName, sampling: { steps: options.steps } },
      ...(isAblation && { seeds: [options.seed] }),
      ...(further.has(name) && { isExtra: true as const }),
      open: (weights, device) => xarSystem.open(description, weights, device),
      training: {
        prefix: transformerPrefix,
        steps: () => options.transformerSteps,
        stage: () => stageOf(recipeOf(name, options), 1),
        stepWork: () => {
          const { transformer, scopes } = buildXar(configOf(name, options));
          const past = noisyPasts[forms[name].past];
          return graphWork(flowTraining(scopes.transformer, transformer, past), options.batchSize);
        },
      },
    };
  };
  return { sides: names.map(sideOf), tokenizers: [tokenizer], training: recipes };
}

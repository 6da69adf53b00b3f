/** Next-neighbour prediction, LlamaGen's next token, and what becomes of the first when one head decides where both meet. */
import { vqRoundTripGraph } from "../../codec/vqTokenizer.ts";
import { synthClassNames } from "../../data/synth/factors.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import { buildNar, tokenizerPrefix, transformerPrefix } from "../../systems/nar/build.ts";
import type { NarModelConfig, TransformerConfig } from "../../systems/nar/config.ts";
import { latticeTraining } from "../../systems/nar/objective.ts";
import { type NarRecipe, narRecipeSchema, narRecipes } from "../../systems/nar/recipe.ts";
import { modelConfig } from "../../systems/nar/stages.ts";
import { narSystem } from "../../systems/nar/system.ts";
import { graphWork, type Side, type TrainedTokenizer } from "../contest/side.ts";

export interface NeighbourOptions {
  readonly transformer: { readonly dim: number; readonly nHead: number };
  /** Layers of the next-token side; next-neighbour's second head takes the last of them. */
  readonly layers: number;
  readonly tokenizerSteps: number;
  /** Steps of both: they see the same tokens with the same layers. */
  readonly transformerSteps: number;
  readonly batchSize: number;
  readonly tokenImages: number;
  /** Of the ablations. */
  readonly seed: number;
}

export const sideNames = { nar: "nar", raster: "raster", right: "nar-right", below: "nar-below" } as const;

const numClasses = synthClassNames.length;

/** Everything that a contest needs. */
export function neighbours(options: NeighbourOptions) {
  const { transformer, layers, tokenizerSteps, transformerSteps, batchSize, tokenImages, seed } = options;
  const recipeOf = (order: TransformerConfig["order"], nLayer: number): NarRecipe => {
    const { recipe } = narRecipes["synth-32"];
    return narRecipeSchema.parse({
      ...recipe,
      transformer: { ...recipe.transformer, ...transformer, nLayer, order },
      train: {
        tokenizer: { steps: tokenizerSteps },
        transformer: { steps: transformerSteps, batchSize, tokenImages },
      },
    });
  };
  const recipes = { nar: recipeOf("neighbour", layers - 1), raster: recipeOf("raster", layers) };
  const imageSize = recipes.nar.data.size;
  const describe = (config: NarModelConfig): ModelDescription => ({
    ...{ system: "nar", config, classNames: [...synthClassNames], imageSize },
  });
  const stageOf = (recipe: NarRecipe, i: number) => narSystem.stages(recipe)[i] as Stage; // tokenizer, transformer
  const config = modelConfig(recipes.nar, numClasses);
  const tokenizer: TrainedTokenizer = {
    ...{ name: "shared", prefix: tokenizerPrefix, description: describe(config) },
    recipe: { data: recipes.nar.data, tokenizer: recipes.nar.tokenizer, train: recipes.nar.train.tokenizer },
    stage: () => stageOf(recipes.nar, 0),
    roundTrip: () => vqRoundTripGraph(buildNar(config).tokenizer),
  };
  const opened = (own: NarModelConfig) => {
    const description = describe(own);
    const open: Side["open"] = (weights, device) => narSystem.open(description, weights, device);
    return { tokenizer: tokenizer.name, description, open };
  };
  const trainedSide = (name: string, recipe: NarRecipe): Side => {
    const own = modelConfig(recipe, numClasses);
    return {
      ...{ name, ...opened(own) },
      training: {
        prefix: transformerPrefix,
        steps: () => transformerSteps,
        stage: () => stageOf(recipe, 1),
        stepWork: () => {
          const { transformer: model, scopes } = buildNar(own);
          return graphWork(latticeTraining(scopes.transformer, model), batchSize);
        },
      },
    };
  };
  const ablated = (name: string, overlap: TransformerConfig["overlap"]): Side => ({
    ...{ name, ...opened({ ...config, transformer: { ...config.transformer, overlap } }) },
    ...{ from: [sideNames.nar], guidanceOf: sideNames.nar, seeds: [seed] },
  });
  return {
    sides: [
      trainedSide(sideNames.nar, recipes.nar),
      trainedSide(sideNames.raster, recipes.raster),
      ablated(sideNames.right, "right"),
      ablated(sideNames.below, "below"),
    ],
    tokenizers: [tokenizer],
    training: recipes,
  };
}

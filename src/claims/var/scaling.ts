/**
 * Arms of the scaling law: transformers of growing size over the shipped tokenizer, each with the same data, steps and grid
 * of learning rates; the best rate of the first seed also trains the second. Held-out loss is measured on the committed
 * float16 weights.
 */

import { tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { inOrder } from "../../data/loader.ts";
import { synthClassNames } from "../../data/synth/factors.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import { type ClaimSetting, numberOf, type Rows } from "../../evaluate/claim/claim.ts";
import { decodeModel, encodeModel } from "../../formats/modelFile.ts";
import { parameterCount, Scope, type Weights } from "../../nn/scope.ts";
import { transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { multiScaleTokenizer, tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import type { Stage } from "../../regimen/system.ts";
import { teacherForcing } from "../../regimen/teacherForcedScales.ts";
import { type TokenCache, type TokenSet, tokenise } from "../../regimen/tokenSet.ts";
import { type VarRecipe, varRecipeSchema, varRecipes } from "../../systems/var/recipe.ts";
import { transformerPrefix, varTrainee } from "../../systems/var/scaleWise.ts";
import { varSystem } from "../../systems/var/system.ts";
import { heldOutLoss } from "../heldOutLoss.ts";
import { stageContext, trained } from "../trainArm.ts";

export interface ScalingOptions {
  /** Name of the shipped model whose tokenizer all sizes use. */
  readonly model: string;
  readonly sizes: readonly { readonly depth: number; readonly embedDim: number; readonly numHeads: number }[];
  readonly learningRates: readonly number[];
  readonly steps: number;
  readonly batchSize: number;
  readonly tokenImages: number;
  /** Held-out pictures of the test split. */
  readonly heldOut: number;
}

const set = { set: "synth", size: 32 } as const;
const seeds = [1, 2] as const;

export const scalingNames = {
  /** First seed, one learning rate. */
  rate: (size: number, rate: number) => `scale-${size}-rate-${rate}`,
  /** Second seed, the best rate of the first. */
  second: (size: number) => `scale-${size}-second`,
};

/** The learning rate with the least held-out loss of the first seed, and that loss. */
export function bestRate(rows: Rows, size: number, { learningRates }: ScalingOptions) {
  const losses = learningRates.map((_, i) => numberOf(rows, scalingNames.rate(size, i), "heldOutLoss"));
  const index = losses.indexOf(Math.min(...losses));
  return { index, rate: learningRates[index] ?? 0, loss: losses[index] ?? Number.NaN };
}

class ScalingBench {
  readonly setting: ClaimSetting;
  readonly options: ScalingOptions;
  readonly #tokens: TokenCache = new Map();
  #heldOut: Promise<TokenSet> | undefined;

  constructor(setting: ClaimSetting, options: ScalingOptions) {
    this.setting = setting;
    this.options = options;
  }

  recipe(size: number, learningRate: number): VarRecipe {
    const { sizes, steps, batchSize, tokenImages } = this.options;
    const base = varRecipes["synth-32"].recipe;
    return varRecipeSchema.parse({
      data: base.data,
      tokenizer: base.tokenizer,
      transformer: { ...base.transformer, ...sizes[size] },
      train: { transformer: { steps, batchSize, tokenImages, learningRate } },
    });
  }

  async tokenizerWeights(): Promise<Weights> {
    const { weights } = await this.setting.model(this.options.model);
    return new Map([...weights].filter(([name]) => name.startsWith(tokenizerPrefix)));
  }

  /** The transformer of a size over fresh scopes. */
  trainee(size: number, frozen: Weights) {
    const { tokenizer: config, transformer } = this.recipe(size, 1);
    const tokenizer = multiScaleTokenizer(Scope.root(tokenizerPrefix), config);
    const numClasses = synthClassNames.length;
    const sized = transformerSchema.parse({ ...transformer, numClasses, patchNums: config.patchNums });
    return {
      config: { tokenizer: config, transformer: sized },
      tokenizer,
      ...varTrainee(tokenizer, frozen, sized),
    };
  }

  heldOut(): Promise<TokenSet> {
    this.#heldOut ??= this.#tokenise();
    return this.#heldOut;
  }

  async #tokenise(): Promise<TokenSet> {
    const test = await this.setting.openData(set.set, set.size, "test");
    const tokenizer = multiScaleTokenizer(Scope.root(tokenizerPrefix), this.recipe(0, 1).tokenizer);
    const count = Math.min(this.options.heldOut, test.length);
    return tokenise({
      graph: tokenizeGraph(tokenizer),
      values: {},
      weights: await this.tokenizerWeights(),
      plan: tokenizer.plan,
      pictureShape: [3, set.size, set.size],
      loader: inOrder(test),
      count,
      device: this.setting.device,
    });
  }

  /** Trains a size; numbers and the float16 file. */
  async train(size: number, learningRate: number, seed: number, signal: AbortSignal | undefined) {
    const earlier = await this.tokenizerWeights();
    const stage = varSystem.stages(this.recipe(size, learningRate))[1] as Stage; // tokenizer, transformer
    const context = stageContext(this.setting, set, {
      ...{ seed, earlier, tokens: this.#tokens },
      ...(signal && { signal }),
    });
    const note = (text: string) =>
      this.setting.onProgress?.(`size ${size}, rate ${learningRate}, seed ${seed}: ${text}`);
    const { weights, secondsPerStep, curve } = await trained(stage, context, note);
    const { config, scope, ...trainee } = this.trainee(size, earlier);
    teacherForcing(trainee.tokenizer, { scope, ...trainee }); // describing asks for every parameter
    const own = new Map([...weights].filter(([name]) => name.startsWith(transformerPrefix)));
    const description = { system: "var", config, classNames: [...synthClassNames], imageSize: set.size };
    const model = encodeModel({ description, weights: own }, "F16");
    const loss = await this.loss(size, model);
    const numbers = {
      learningRate,
      parameters: parameterCount(scope.specs),
      heldOutLoss: loss,
      secondsPerStep,
      curve,
    };
    return { numbers, model };
  }

  /** Held-out loss of a float16 file. */
  async loss(size: number, model: Uint8Array): Promise<number> {
    const frozen = await this.tokenizerWeights();
    const { model: scaleWise } = this.trainee(size, frozen);
    const all = new Map([...frozen, ...decodeModel(model).weights]);
    return heldOutLoss(scaleWise, all, await this.heldOut(), this.setting.device);
  }
}

function rateArm(bench: ScalingBench, sha256: string, size: number, index: number): Arm {
  const rate = bench.options.learningRates[index] ?? 0;
  const { heldOut } = bench.options;
  return {
    name: scalingNames.rate(size, index),
    definition: { recipe: bench.recipe(size, rate), seed: seeds[0], sha256, heldOut, version: 1 },
    run: async ({ signal }) => ({ numbers: (await bench.train(size, rate, seeds[0], signal)).numbers }),
  };
}

function secondArm(bench: ScalingBench, sha256: string, size: number): Arm {
  const { learningRates, heldOut } = bench.options;
  const recipes = learningRates.map((rate) => bench.recipe(size, rate));
  const name = scalingNames.second(size);
  return {
    name,
    definition: { recipes, seed: seeds[1], sha256, heldOut, version: 1 },
    run: ({ rows, signal }) => bench.train(size, bestRate(rows, size, bench.options).rate, seeds[1], signal),
    recompute: async ({ model }: ArmContext) => ({
      numbers: { heldOutLoss: await bench.loss(size, await model(name)) },
      tolerance: 0.002,
    }),
  };
}

/** Size by size, smallest first. `sha256` is that of the shipped model's file. */
export function scalingArms(setting: ClaimSetting, options: ScalingOptions, sha256: string): Arm[] {
  const bench = new ScalingBench(setting, options);
  return options.sizes.flatMap((_, size) => [
    ...options.learningRates.map((_, index) => rateArm(bench, sha256, size, index)),
    secondArm(bench, sha256, size),
  ]);
}

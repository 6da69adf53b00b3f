/** VAR as training sees it. */
import type { MultiScaleTokenizer } from "../../codec/multiScaleTokenizer.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import type { TransformerConfig } from "../../regimen/multiScaleConfig.ts";
import { ResidualScaleWise } from "../../regimen/multiScaleModel.ts";
import type { Trainee } from "../../regimen/programmes.ts";
import { VarTransformer } from "./model.ts";

/** Parameter prefix of the transformer in files that hold both models. */
export const transformerPrefix = "var.";

/** The transformer of a training stage over a frozen tokenizer. */
export function varTrainee(
  tokenizer: MultiScaleTokenizer,
  frozen: Weights,
  config: TransformerConfig,
): Trainee & { readonly transformer: VarTransformer } {
  const scope = Scope.root(transformerPrefix);
  const transformer = new VarTransformer(scope, config, tokenizer.config.vocabSize);
  return { scope, frozen, transformer, model: new ResidualScaleWise(tokenizer, transformer) };
}

/**
 * What systems over a multi-scale residual tokenizer compose: the tokenizer itself, plan and classes of their transformers,
 * and the transformer as training sees it. One schedule, fixed by the parameters' shapes, so nothing of it enters as data.
 */
import { MultiScaleTokenizer, type MultiScaleTokenizerConfig } from "../codec/multiScaleTokenizer.ts";
import { classEmbedding } from "../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../conditioner/types.ts";
import { initStd } from "../mixer/adaLnTransformer.ts";
import type { KeepFactors } from "../mixer/types.ts";
import { type Scope, truncatedNormal } from "../nn/scope.ts";
import { scalePlan } from "../plan/scales.ts";
import type { Plan, Scale } from "../plan/types.ts";
import { stopGradient } from "../tensor/ops/structure.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TokenizerConfig, TransformerConfig } from "./multiScaleConfig.ts";
import type { ScaleWiseModel, WholeForm } from "./scaleWise.ts";

/** Parameter prefix of the tokenizer in files that hold both models. */
export const tokenizerPrefix = "vae.";
export const codebookName = `${tokenizerPrefix}quantize.embedding.weight`;

/** The tokenizer of a configuration. */
export function multiScaleTokenizer(scope: Scope, config: TokenizerConfig): MultiScaleTokenizer {
  return new MultiScaleTokenizer(
    scope,
    config satisfies MultiScaleTokenizerConfig,
    scalePlan(config.patchNums),
  );
}

/** Plan and class vectors of a transformer. */
export function planAndClasses(scope: Scope, { patchNums, numClasses, embedDim }: TransformerConfig) {
  const init = truncatedNormal(initStd(embedDim));
  return {
    plan: scalePlan(patchNums),
    conditioner: classEmbedding(scope.in("class_emb"), numClasses, embedDim, init),
  };
}

/** A transformer that reads the accumulated reconstruction of the scales before. */
export interface ResidualTransformer {
  readonly config: TransformerConfig;
  readonly vocabSize: number;
  readonly plan: Plan<Scale>;
  readonly conditioner: LabelConditioner;
  /** Labels [B], inputs [B, L - N0, codeWidth] -> logits [B, L, V]. */
  logits(labels: Tensor, inputs: Tensor, keep?: KeepFactors): Tensor;
}

export class ResidualScaleWise implements ScaleWiseModel {
  readonly vocabSize: number;
  readonly depth: number;
  readonly condDropRate: number;
  readonly dropPathRate: number;
  readonly conditioner;
  readonly whole: WholeForm;

  constructor(tokenizer: MultiScaleTokenizer, model: ResidualTransformer) {
    this.vocabSize = model.vocabSize;
    this.depth = model.config.depth;
    this.condDropRate = model.config.condDropRate;
    this.dropPathRate = model.config.dropPathRate;
    this.conditioner = model.conditioner;
    this.whole = {
      specs: {},
      length: model.plan.length,
      // Predictions accumulate like true tokens: phi of the enlarged codes of all scales before.
      logits: (labels, past, _, keep) =>
        model.logits(labels, stopGradient(tokenizer.teacherInput(past)), keep),
      values: () => ({}),
    };
  }

  prefix(plan: Plan<Scale>): Plan<Scale> {
    return plan;
  }
}

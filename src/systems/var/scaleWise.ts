/** VAR as training sees it: one schedule, fixed by the parameters' shapes, so nothing of it enters as data. */
import type { Weights } from "../../nn/scope.ts";
import { Scope } from "../../nn/scope.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import type { Trainee } from "../../regimen/programmes.ts";
import type { ScaleWiseModel, WholeForm } from "../../regimen/scaleWise.ts";
import type { Programme } from "../../regimen/scaleWiseTask.ts";
import { ints } from "../../runtime/values.ts";
import { stopGradient } from "../../tensor/ops/structure.ts";
import type { TransformerConfig } from "./config.ts";
import { VarTransformer } from "./model.ts";
import { transformerTraining } from "./objective.ts";
import type { VarTokenizer } from "./tokenizer.ts";

/** Parameter prefix of the transformer in files that hold both models. */
export const transformerPrefix = "var.";

export class VarScaleWise implements ScaleWiseModel {
  readonly vocabSize: number;
  readonly depth: number;
  readonly condDropRate: number;
  readonly dropPathRate: number;
  readonly conditioner;
  readonly whole: WholeForm;

  constructor(tokenizer: VarTokenizer, model: VarTransformer) {
    this.vocabSize = model.vocabSize;
    this.depth = model.depth;
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

/** The transformer of a training stage over a frozen tokenizer. */
export function varTrainee(
  tokenizer: VarTokenizer,
  frozen: Weights,
  config: TransformerConfig,
): Trainee & { readonly transformer: VarTransformer } {
  const scope = Scope.root(transformerPrefix);
  const transformer = new VarTransformer(scope, config, tokenizer.config.vocabSize);
  return { scope, frozen, transformer, model: new VarScaleWise(tokenizer, transformer) };
}

/** Teacher forcing with metrics per scale. */
export function teacherForcing(
  tokenizer: VarTokenizer,
  { scope, frozen, transformer }: ReturnType<typeof varTrainee>,
): Programme {
  return {
    graph: transformerTraining(scope, tokenizer, transformer),
    frozen,
    keeps: ["keep"],
    values: async ({ labels, ids, plan }) => ({
      labels: ints(labels, [labels.length]),
      ids: ints(ids, [labels.length, plan.length]),
    }),
  };
}

/**
 * One pass on a given past, judged by the truth: teacher forcing when the past is the truth, student forcing when the model
 * made it. Every token weighs the same. Source: VAR and FlexVAR `trainer.py` (code).
 */
import type { Scope } from "../nn/scope.ts";
import { equal } from "../tensor/ops/elementwise.ts";
import { argmaxLast } from "../tensor/ops/gather.ts";
import { mean } from "../tensor/ops/neural.ts";
import { cast } from "../tensor/ops/structure.ts";
import { int32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
import { trainingGraph } from "./objective.ts";
import { keepFactors, keepSpecs, type ScaleWiseModel, type Tensors, tokenLoss } from "./scaleWise.ts";

/** Inputs: labels [B] (already dropped), true ids [B, L], past [B, L], the schedule, and with drop path `keep`. */
export function forcedSpecs(model: ScaleWiseModel): Record<string, TensorSpec> {
  const { specs, length } = model.whole;
  return {
    labels: int32("B"),
    ids: int32("B", length),
    past: int32("B", length),
    ...specs,
    ...keepSpecs(model, "keep"),
  };
}

/** Loss, token losses [B, L] and hits [B, L]. */
export function forcedLosses(model: ScaleWiseModel, inputs: Tensors, labelSmoothing = 0) {
  const get = (name: string): Tensor => inputs[name] as Tensor; // declared by forcedSpecs
  const logits = model.whole.logits(get("labels"), get("past"), inputs, keepFactors(inputs.keep));
  const losses = tokenLoss(logits, get("ids"), labelSmoothing);
  return { loss: mean(losses), losses, hits: cast(equal(argmaxLast(logits), get("ids")), "float32") };
}

/** Training graph of one pass. Metric: accuracy. */
export function forcedTraining(scope: Scope, model: ScaleWiseModel, labelSmoothing = 0) {
  return trainingGraph(forcedSpecs(model), scope, (inputs) => {
    const { loss, hits } = forcedLosses(model, inputs, labelSmoothing);
    return { loss, metrics: { accuracy: mean(hits) } };
  });
}

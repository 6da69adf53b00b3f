/** Cross-entropy over all sites, each alike. Source: NAR `gpt.py` (code). Shape letters: B batch, L sites. */
import type { Scope } from "../../nn/scope.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import { symbol } from "../../tensor/dims.ts";
import { div, equal, maximum, mul } from "../../tensor/ops/elementwise.ts";
import { argmaxLast } from "../../tensor/ops/gather.ts";
import { crossEntropy, mean } from "../../tensor/ops/neural.ts";
import { cast, sum } from "../../tensor/ops/structure.ts";
import { int32, type Tensor, type TensorSpec } from "../../tensor/tensor.ts";
import type { LatticeTransformer } from "./model.ts";

/** Inputs: labels [B], ids [B, L] and, where some pictures do not count, their flags `valid` [B]. */
export function latticeLoss(model: LatticeTransformer, inputs: Readonly<Record<string, Tensor>>) {
  const [labels, ids] = [inputs.labels as Tensor, inputs.ids as Tensor]; // both are always given
  const logits = model.logits(labels, ids);
  const ofPicture = mean(crossEntropy(logits, ids), [1]); // (B)
  const { valid } = inputs;
  const loss = valid
    ? div(sum(mul(ofPicture, valid)), maximum(sum(valid), 1 / model.plan.length))
    : mean(ofPicture);
  return { loss, accuracy: mean(cast(equal(argmaxLast(logits), ids), "float32")) };
}

/** Training graph: labels [B] (already dropped), ids [B, L]; `more` names further inputs of the loss. */
export function latticeTraining(
  scope: Scope,
  model: LatticeTransformer,
  more: Readonly<Record<string, TensorSpec>> = {},
) {
  const B = symbol("B");
  const specs = { labels: int32(B), ids: int32(B, model.plan.length), ...more };
  return trainingGraph(specs, scope, (inputs) => {
    const { loss, accuracy } = latticeLoss(model, inputs);
    return { loss, metrics: { accuracy } };
  });
}

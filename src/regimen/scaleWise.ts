/**
 * A scale-wise model as training sees it: logits of all scales from labels and a past, in one pass. A schedule enters as
 * inputs, so one program serves all schedules that a model knows. Shape letters: B batch, L tokens, N judged tokens, V codes.
 */
import type { LabelConditioner } from "../conditioner/types.ts";
import type { KeepFactors } from "../mixer/types.ts";
import type { Plan, Scale } from "../plan/types.ts";
import type { Value } from "../runtime/values.ts";
import type { Dim } from "../tensor/dims.ts";
import { add, mul, sub } from "../tensor/ops/elementwise.ts";
import { pickLast } from "../tensor/ops/gather.ts";
import { crossEntropy, mean, softmax } from "../tensor/ops/neural.ts";
import { reshape, slice, stopGradient, sum } from "../tensor/ops/structure.ts";
import { float32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";

export type Tensors = Readonly<Record<string, Tensor>>;
export type Values = Readonly<Record<string, Value>>;

/** A pass over some sites: what carries its schedule, and its logits from tokens [B, L] that stand for the past. */
export interface SequenceForm {
  readonly specs: Readonly<Record<string, TensorSpec>>;
  /** Tokens that get logits. */
  readonly length: Dim;
  logits(labels: Tensor, past: Tensor, inputs: Tensors, keep?: KeepFactors): Tensor;
}

/** The usual pass: every scale sees all earlier ones. */
export interface WholeForm extends SequenceForm {
  values(plan: Plan<Scale>): Values;
}

/** Next scales of some transitions, each seeing only the class and itself. */
export interface IsolatedForm extends SequenceForm {
  values(plan: Plan<Scale>, transitions: readonly Scale[]): Values;
}

export interface ScaleWiseModel {
  readonly vocabSize: number;
  readonly depth: number;
  readonly condDropRate: number;
  readonly dropPathRate: number;
  readonly conditioner: Pick<LabelConditioner, "numClasses" | "nullLabel">;
  readonly whole: WholeForm;
  /** Absent where a model has no such pass. */
  readonly isolated?: IsolatedForm;
  /** The shortest plan with which the first `scales` scales of a plan can be computed. */
  prefix(plan: Plan<Scale>, scales: number): Plan<Scale>;
}

/** Input of the drop-path factors, [2 depth, B], where a model has drop path. */
export function keepSpecs(model: ScaleWiseModel, name: string): Record<string, TensorSpec> {
  return model.dropPathRate > 0 ? { [name]: float32(2 * model.depth, "B") } : {};
}

/** Drop-path factors from their input; nothing when it was not declared. */
export function keepFactors(factors: Tensor | undefined): KeepFactors | undefined {
  if (factors === undefined) return undefined;
  const batch = factors.shape[1] as Dim; // [2 depth, B]
  const row = (i: number) => reshape(slice(factors, 0, i, i + 1), [batch, 1, 1]);
  return (layer) => [row(2 * layer), row(2 * layer + 1)];
}

/** -log p of ids, with the target smoothed by `smoothing` over all codes: logits [B, N, V], ids [B, N] -> [B, N]. */
export function tokenLoss(logits: Tensor, ids: Tensor, smoothing = 0): Tensor {
  const plain = crossEntropy(logits, ids);
  if (smoothing === 0) return plain;
  return add(plain, mul(sub(pickLast(logits, ids), mean(logits, [-1])), smoothing));
}

/** Kullback-Leibler divergence of fixed teacher rows from student rows: logits [B, N, V] each -> [B, N]. */
export function divergence(teacher: Tensor, student: Tensor, ids: Tensor): Tensor {
  const fixed = stopGradient(teacher);
  const share = softmax(fixed);
  // log p(v) = l(v) - l(k) - crossEntropy(k) for any code k.
  const expected = (logits: Tensor) =>
    sub(sum(mul(share, logits), [-1]), add(pickLast(logits, ids), crossEntropy(logits, ids)));
  return sub(expected(fixed), expected(student));
}

/** Mean over the batch of weighted sums: x [B, N], weights [N] -> scalar. */
export function weighted(x: Tensor, weights: Tensor): Tensor {
  return mean(sum(mul(x, weights), [1]));
}

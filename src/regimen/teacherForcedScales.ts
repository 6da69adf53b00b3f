/**
 * Teacher forcing of a transformer over a multi-scale tokenizer, with losses and hits per scale. Source: VAR and HMAR
 * `trainer.py` (code). Shape letters: B batch, L tokens, S scales.
 */
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import type { KeepFactors } from "../mixer/types.ts";
import type { Scope, Weights } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { ints } from "../runtime/values.ts";
import { symbol } from "../tensor/dims.ts";
import { equal } from "../tensor/ops/elementwise.ts";
import { argmaxLast } from "../tensor/ops/gather.ts";
import { crossEntropy, mean } from "../tensor/ops/neural.ts";
import { cast, concat, reshape, slice, stopGradient } from "../tensor/ops/structure.ts";
import { constant, float32, int32, type Tensor } from "../tensor/tensor.ts";
import { meansInParts } from "./inParts.ts";
import type { ResidualTransformer } from "./multiScaleModel.ts";
import { type Objective, trainingGraph } from "./objective.ts";
import { keepFactors, weighted } from "./scaleWise.ts";
import type { Programme } from "./scaleWiseTask.ts";
import { type TokenSet, tokenInputs } from "./tokenSet.ts";
import type { Metrics } from "./trainer.ts";

const B = symbol("B");

/** Cross-entropy of every token: labels [B], true ids [B, L] -> token losses [B, L], hits [B, L]. */
export function tokenLosses(
  tokenizer: MultiScaleTokenizer,
  model: ResidualTransformer,
  labels: Tensor,
  ids: Tensor,
  keep?: KeepFactors,
) {
  const inputs = stopGradient(tokenizer.teacherInput(ids));
  const logits = model.logits(labels, inputs, keep);
  return { losses: crossEntropy(logits, ids), hits: cast(equal(argmaxLast(logits), ids), "float32") };
}

/** Mean of a [B, L] tensor per scale: [S]. */
export function perScale(x: Tensor, { groups }: Plan<Scale>): Tensor {
  const parts = groups.map((group) => mean(slice(x, 1, group.start, group.start + group.size)));
  return concat(
    parts.map((part) => reshape(part, [1])),
    0,
  );
}

/** Mean over pictures of losses [B, L] weighted by token; without weights each token counts 1 / L. */
export function totalLoss(losses: Tensor, tokenWeights?: Float32Array): Tensor {
  if (tokenWeights === undefined) return mean(losses);
  return weighted(losses, constant(tokenWeights, [tokenWeights.length]));
}

/**
 * Training graph of the transformer. Inputs: labels [B] (already dropped), ids [B, L], and with drop path `keep`
 * [2 depth, B]. The tokenizer's parameters are frozen: compile them in. `tokenWeights` [L] weigh the losses.
 */
export function transformerTraining(
  scope: Scope,
  tokenizer: MultiScaleTokenizer,
  model: ResidualTransformer,
  tokenWeights?: Float32Array,
) {
  const { depth, dropPathRate } = model.config;
  const specs = {
    labels: int32(B),
    ids: int32(B, model.plan.length),
    ...(dropPathRate > 0 && { keep: float32(2 * depth, B) }),
  };
  return trainingGraph(specs, scope, (inputs): Objective => {
    const [labels, ids] = [inputs.labels as Tensor, inputs.ids as Tensor]; // declared above
    const { losses, hits } = tokenLosses(tokenizer, model, labels, ids, keepFactors(inputs.keep));
    return {
      loss: totalLoss(losses, tokenWeights),
      metrics: {
        accuracy: mean(hits),
        scaleLoss: perScale(losses, model.plan),
        scaleAccuracy: perScale(hits, model.plan),
      },
    };
  });
}

/** Teacher forcing with metrics per scale, over a frozen tokenizer. */
export function teacherForcing(
  tokenizer: MultiScaleTokenizer,
  trainee: { readonly scope: Scope; readonly frozen: Weights; readonly transformer: ResidualTransformer },
  tokenWeights?: Float32Array,
): Programme {
  return {
    graph: transformerTraining(trainee.scope, tokenizer, trainee.transformer, tokenWeights),
    frozen: trainee.frozen,
    keeps: ["keep"],
    values: async ({ labels, ids, plan }) => ({
      labels: ints(labels, [labels.length]),
      ids: ints(ids, [labels.length, plan.length]),
    }),
  };
}

/** Unweighted loss and accuracy of held-out tokens, per scale too; `weights` hold tokenizer and transformer. */
export async function heldOutScales(
  tokenizer: MultiScaleTokenizer,
  transformer: ResidualTransformer,
  weights: Weights,
  { ids, labels }: TokenSet,
  device: Device,
): Promise<Metrics> {
  const { plan } = transformer;
  const graph = trace({ labels: int32(B), ids: int32(B, plan.length) }, (inputs) => {
    const { losses, hits } = tokenLosses(tokenizer, transformer, inputs.labels, inputs.ids);
    return { loss: mean(losses), losses: perScale(losses, plan), hits: perScale(hits, plan) };
  });
  using program = await compile(graph, { device, weights, prepack: false });
  const means = await meansInParts(labels.length, tokenizer.imageSize, (first, taken) =>
    program.run(tokenInputs({ ids, labels, plan }, first, taken)),
  );
  return scaleMetrics(means);
}

/** What a look at scales is logged as: the mean over all tokens, and means per scale. */
export const scaleMetrics = ({
  loss,
  losses,
  hits,
}: Readonly<Record<"loss" | "losses" | "hits", readonly number[]>>): Metrics => ({
  validationLoss: loss[0] ?? Number.NaN,
  validationScaleLoss: losses,
  validationScaleAccuracy: hits,
});

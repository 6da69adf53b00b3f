/**
 * Training objectives of VAR: the transformer's token cross-entropy (`trainer.py`, code: every token weighs 1 / L) and
 * the tokenizer's reconstruction plus VQ loss (pixel terms ours).
 */
import type { KeepFactors } from "../../mixer/types.ts";
import type { PerceptualLoss } from "../../nn/perceptual.ts";
import type { Scope } from "../../nn/scope.ts";
import { type Objective, trainingGraph } from "../../regimen/objective.ts";
import { keepFactors } from "../../regimen/scaleWise.ts";
import { symbol } from "../../tensor/dims.ts";
import { abs, add, equal, mul, square, sub } from "../../tensor/ops/elementwise.ts";
import { argmaxLast } from "../../tensor/ops/gather.ts";
import { crossEntropy, mean } from "../../tensor/ops/neural.ts";
import { cast, concat, reshape, slice, stopGradient } from "../../tensor/ops/structure.ts";
import { float32, int32, type Tensor } from "../../tensor/tensor.ts";
import type { VarTransformer } from "./model.ts";
import type { VarTokenizer } from "./tokenizer.ts";

const B = symbol("B");

/** Cross-entropy of every token: labels [B], true ids [B, L] -> loss, token losses [B, L], hits [B, L]. */
export function tokenLosses(
  tokenizer: VarTokenizer,
  model: VarTransformer,
  labels: Tensor,
  ids: Tensor,
  keep?: KeepFactors,
) {
  const inputs = stopGradient(tokenizer.teacherInput(ids));
  const logits = model.logits(labels, inputs, keep);
  const losses = crossEntropy(logits, ids);
  return { loss: mean(losses), losses, hits: cast(equal(argmaxLast(logits), ids), "float32") };
}

/** Mean of a [B, L] tensor per scale: [S]. */
export function perScale(x: Tensor, model: VarTransformer): Tensor {
  const parts = model.plan.groups.map((group) => mean(slice(x, 1, group.start, group.start + group.size)));
  return concat(
    parts.map((part) => reshape(part, [1])),
    0,
  );
}

/**
 * Training graph of the transformer. Inputs: labels [B] (already dropped), ids [B, L], and with drop path `keep`
 * [2 depth, B]. The tokenizer's parameters are frozen: compile them in.
 */
export function transformerTraining(scope: Scope, tokenizer: VarTokenizer, model: VarTransformer) {
  const { depth, dropPathRate } = model.config;
  const specs = {
    labels: int32(B),
    ids: int32(B, model.plan.length),
    ...(dropPathRate > 0 && { keep: float32(2 * depth, B) }),
  };
  return trainingGraph(specs, scope, (inputs): Objective => {
    const [labels, ids] = [inputs.labels as Tensor, inputs.ids as Tensor]; // declared above
    const { loss, losses, hits } = tokenLosses(tokenizer, model, labels, ids, keepFactors(inputs.keep));
    return {
      loss,
      metrics: {
        accuracy: mean(hits),
        scaleLoss: perScale(losses, model),
        scaleAccuracy: perScale(hits, model),
      },
    };
  });
}

export interface TokenizerLossWeights {
  readonly l1: number;
  readonly l2: number;
  readonly vq: number;
  readonly perceptual: number;
}

/** Training graph of the tokenizer. Input: images [B, 3, H, W]. Metric `ids` [B, L] feeds the usage statistics. */
export function tokenizerTraining(
  scope: Scope,
  tokenizer: VarTokenizer,
  weights: TokenizerLossWeights,
  perceptual?: PerceptualLoss,
) {
  const side = tokenizer.imageSize;
  return trainingGraph(
    { images: float32(B, tokenizer.config.inChannels, side, side) },
    scope,
    (inputs): Objective => {
      const images = inputs.images as Tensor; // declared above
      const { reconstruction, vqLoss, ids } = tokenizer.forward(images);
      const l1 = mean(abs(sub(reconstruction, images)));
      const l2 = mean(square(sub(reconstruction, images)));
      const pixels = add(mul(l1, weights.l1), mul(l2, weights.l2));
      const base = add(pixels, mul(vqLoss, weights.vq));
      const extra = perceptual === undefined ? undefined : perceptual.distance(reconstruction, images);
      return {
        loss: extra === undefined ? base : add(base, mul(extra, weights.perceptual)),
        metrics: { l1, l2, vqLoss, ids: concat(ids, 1), ...(extra !== undefined && { perceptual: extra }) },
      };
    },
  );
}

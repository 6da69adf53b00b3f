/**
 * Training objective of the tokenizer: at every step some sides are drawn, and each scale is decoded to its own picture and
 * compared with the image pooled to that size. paper: 5 random scales per step, VQ, perceptual and adversarial terms;
 * the authors released no training code. inferred: pixel terms and weights.
 * Shape letters: B pictures, S picture side, P latent side, p side of a drawn scale, f pixels per site.
 */
import { areaRows } from "../../codec/resize.ts";
import type { Scope } from "../../nn/scope.ts";
import { type Objective, trainingGraph } from "../../regimen/objective.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { mulDims, symbol } from "../../tensor/dims.ts";
import { abs, add, mul, square, sub } from "../../tensor/ops/elementwise.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { concat, reshape } from "../../tensor/ops/structure.ts";
import { float32, type Tensor, type TensorSpec } from "../../tensor/tensor.ts";
import { type FlexTokenizer, shrink } from "./tokenizer.ts";

export interface TokenizerLossWeights {
  readonly l1: number;
  readonly l2: number;
  readonly vq: number;
}

/** Inputs of a step with `scales` drawn sides. */
export function tokenizerSpecs(
  tokenizer: FlexTokenizer,
  scales: number,
  imageSize = tokenizer.imageSize,
): Record<string, TensorSpec> {
  const { factor, config } = tokenizer;
  const drawn = Array.from({ length: scales }, (_, k) => {
    const side = symbol(`P${k}`);
    return [
      [`latentRows${k}`, float32(imageSize / factor, side)],
      [`imageRows${k}`, float32(imageSize, mulDims(side, factor))],
    ] as const;
  });
  return {
    images: float32("B", config.inChannels, imageSize, imageSize),
    ...Object.fromEntries(drawn.flat()),
  };
}

/** Values of the drawn sides. */
export function tokenizerValues(
  { factor, imageSize: full }: FlexTokenizer,
  sides: readonly number[],
  imageSize = full,
): Record<string, Value> {
  const latentSide = imageSize / factor;
  const rows = (from: number, to: number): Value => floats(areaRows(from, to), [from, to]);
  return Object.fromEntries(
    sides.flatMap((side, k) => [
      [`latentRows${k}`, rows(latentSide, side)],
      [`imageRows${k}`, rows(imageSize, side * factor)],
    ]),
  );
}

/** Losses and reconstructions of every drawn scale; losses are [scales]. */
export function tokenizerLosses(
  tokenizer: FlexTokenizer,
  inputs: Readonly<Record<string, Tensor>>,
  scales: number,
) {
  const get = (name: string): Tensor => inputs[name] as Tensor; // declared by tokenizerSpecs
  const latents = tokenizer.encode(get("images"));
  const { commitLossBeta, entropyLossRatio } = tokenizer.config;
  const parts = Array.from({ length: scales }, (_, k) => {
    const forward = tokenizer.forward(latents, get(`latentRows${k}`));
    const difference = sub(forward.reconstruction, shrink(get("images"), get(`imageRows${k}`)));
    return { ...forward, l1: mean(abs(difference)), l2: mean(square(difference)) };
  });
  const all = (pick: (part: (typeof parts)[number]) => Tensor): Tensor =>
    concat(
      parts.map((part) => reshape(pick(part), [1])),
      0,
    );
  const commit = mul(
    all((part) => part.commitLoss),
    commitLossBeta,
  );
  return {
    l1: all((part) => part.l1),
    l2: all((part) => part.l2),
    vq: all((part) => part.vqLoss),
    commit,
    ...(entropyLossRatio > 0 && {
      entropy: mul(
        all((part) => part.entropyLoss()),
        entropyLossRatio,
      ),
    }),
    reconstructions: parts.map((part) => part.reconstruction),
    ids: parts.map((part) => part.ids),
  };
}

/** Training graph: mean over the drawn scales. Metric `ids` [B, sum of p^2] feeds the usage statistics. */
export function tokenizerTraining(
  scope: Scope,
  tokenizer: FlexTokenizer,
  scales: number,
  weights: TokenizerLossWeights,
  imageSize = tokenizer.imageSize,
) {
  return trainingGraph(tokenizerSpecs(tokenizer, scales, imageSize), scope, (inputs): Objective => {
    const { l1, l2, vq, commit, entropy, ids } = tokenizerLosses(tokenizer, inputs, scales);
    const pixels = add(mul(l1, weights.l1), mul(l2, weights.l2));
    const codes = entropy === undefined ? add(vq, commit) : add(add(vq, commit), entropy);
    return {
      loss: mean(add(pixels, mul(codes, weights.vq))),
      metrics: {
        l1: mean(l1),
        l2: mean(l2),
        vqLoss: mean(vq),
        commitLoss: mean(commit),
        ids: concat(ids, 1),
      },
    };
  });
}

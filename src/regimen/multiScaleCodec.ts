/**
 * A multi-scale residual tokenizer as its training sees it: reconstruction plus VQ loss, all scales at every step, first
 * codes smaller for finer scales. inferred: VAR's authors never released that training; pixel terms are ours.
 */
import { encodeGraph } from "../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import { areaMatrix } from "../codec/resize.ts";
import type { TrainableCodec } from "../codec/types.ts";
import type { PerceptualLoss } from "../nn/perceptual.ts";
import { Scope } from "../nn/scope.ts";
import { symbol } from "../tensor/dims.ts";
import { abs, add, mul, square, sub } from "../tensor/ops/elementwise.ts";
import { mean } from "../tensor/ops/neural.ts";
import { concat } from "../tensor/ops/structure.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import type { TokenizerConfig } from "./multiScaleConfig.ts";
import { codebookName, multiScaleTokenizer, tokenizerPrefix } from "./multiScaleModel.ts";
import { type Objective, trainingGraph } from "./objective.ts";

export interface TokenizerLossWeights {
  readonly l1: number;
  readonly l2: number;
  readonly vq: number;
  readonly perceptual: number;
}

/** Training graph of the tokenizer. Input: images [B, 3, H, W]. Metric `ids` [B, L] feeds the usage statistics. */
export function tokenizerTraining(
  scope: Scope,
  tokenizer: MultiScaleTokenizer,
  weights: TokenizerLossWeights,
  perceptual?: PerceptualLoss,
) {
  const side = tokenizer.imageSize;
  return trainingGraph(
    { images: float32(symbol("B"), tokenizer.config.inChannels, side, side) },
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

export function trainableTokenizer(
  config: TokenizerConfig,
  loss: TokenizerLossWeights,
  perceptual?: PerceptualLoss,
): TrainableCodec & { readonly tokenizer: MultiScaleTokenizer } {
  const scope = Scope.root(tokenizerPrefix);
  const tokenizer = multiScaleTokenizer(scope, config);
  const { groups } = tokenizer.plan;
  const { side } = tokenizer.vq;
  const { zChannels, vocabSize, inChannels } = config;
  const sizes = groups.map((group) => group.size);
  return {
    tokenizer,
    graph: tokenizerTraining(scope, tokenizer, loss, perceptual),
    encode: encodeGraph(tokenizer),
    parameters: scope.specs,
    pictureShape: [inChannels, tokenizer.imageSize, tokenizer.imageSize],
    codebook: { name: codebookName, vocabSize, width: zChannels },
    groups: groups.length,
    draw: () => ({ values: {}, sizes }),
    /** The features pooled to the side of a random scale, at one site. */
    firstCode: (features, stream) => {
      const index = stream.integer(groups.length);
      const pool = areaMatrix(side, groups[index]?.side ?? side);
      const sites = pool.length / (side * side);
      const site = stream.integer(sites);
      return Float32Array.from({ length: zChannels }, (_, c) => {
        let mean = 0;
        for (let i = 0; i < side * side; i++)
          mean += (features[c * side * side + i] as number) * (pool[i * sites + site] as number); // in range
        return mean * (1 - index / groups.length);
      });
    },
  };
}

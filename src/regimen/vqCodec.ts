/**
 * A single-map tokenizer as its training sees it: pixels, codebook, commitment and, where asked for, entropy.
 * Source: LlamaGen `vq_loss.py` (code); its LPIPS and adversarial terms are not here.
 */
import type { TrainableCodec } from "../codec/types.ts";
import { latentsGraph, VqTokenizer, type VqTokenizerConfig } from "../codec/vqTokenizer.ts";
import { Scope } from "../nn/scope.ts";
import { symbol } from "../tensor/dims.ts";
import { abs, add, mul, square, sub } from "../tensor/ops/elementwise.ts";
import { mean } from "../tensor/ops/neural.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import { type Objective, trainingGraph } from "./objective.ts";

export interface VqLossWeights {
  readonly l1: number;
  readonly l2: number;
}

/** Weights of the terms beside the codebook's own. */
export interface VqTraining extends VqTokenizerConfig {
  readonly commitLossBeta: number;
  readonly entropyLossRatio: number;
}

/** The terms of the loss, weighted, scalars: pixels, codebook, commitment, entropy. */
export function vqLosses(tokenizer: VqTokenizer, images: Tensor, config: VqTraining, weights: VqLossWeights) {
  const { reconstruction, ids, vqLoss, commitLoss, entropyLoss } = tokenizer.forward(images);
  const difference = sub(reconstruction, images);
  const [l1, l2] = [mean(abs(difference)), mean(square(difference))];
  const commit = mul(commitLoss, config.commitLossBeta);
  const entropy = mul(config.entropyLossRatio > 0 ? entropyLoss() : mul(vqLoss, 0), config.entropyLossRatio);
  const pixels = add(mul(l1, weights.l1), mul(l2, weights.l2));
  const total = [pixels, vqLoss, commit, entropy].reduce((a, b) => add(a, b));
  return { total, l1, l2, vqLoss, commitLoss: commit, entropyLoss: entropy, ids };
}

/** Training graph. Input: images [B, 3, H, W], of the tokenizer's size where none is given. Metric `ids` [B, L] feeds the statistics. */
export function vqTraining(
  scope: Scope,
  tokenizer: VqTokenizer,
  config: VqTraining,
  weights: VqLossWeights,
  { height, width } = { height: tokenizer.imageSize, width: tokenizer.imageSize },
) {
  const specs = { images: float32(symbol("B"), config.inChannels, height, width) };
  return trainingGraph(specs, scope, (inputs): Objective => {
    const images = inputs.images as Tensor; // declared above
    const { total, l1, l2, vqLoss, commitLoss, ids } = vqLosses(tokenizer, images, config, weights);
    return { loss: total, metrics: { l1, l2, vqLoss, commitLoss, ids } };
  });
}

/** Parameters stand under `prefix`. */
export function trainableVq(
  prefix: string,
  config: VqTraining,
  weights: VqLossWeights,
): TrainableCodec & { readonly tokenizer: VqTokenizer } {
  const scope = Scope.root(prefix);
  const tokenizer = new VqTokenizer(scope, config);
  const { imageSize } = tokenizer;
  const { vocabSize, codeWidth, inChannels, latentSide, codebookL2Norm } = config;
  const sites = latentSide * latentSide;
  return {
    tokenizer,
    graph: vqTraining(scope, tokenizer, config, weights),
    encode: latentsGraph(tokenizer),
    parameters: scope.specs,
    pictureShape: [inChannels, imageSize, imageSize],
    codebook: { name: `${prefix}quantize.embedding.weight`, vocabSize, width: codeWidth },
    groups: 1,
    draw: () => ({ values: {}, sizes: [sites] }),
    /** The latent of a random site, L2-normalised where codes are. */
    firstCode: (features, stream) => {
      const site = stream.integer(sites);
      const code = Float32Array.from({ length: codeWidth }, (_, c) => features[c * sites + site] as number); // in range
      const norm = codebookL2Norm ? Math.sqrt(code.reduce((sum, value) => sum + value * value, 0)) || 1 : 1;
      return code.map((value) => value / norm);
    },
  };
}

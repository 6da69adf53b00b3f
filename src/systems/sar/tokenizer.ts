/**
 * FlexVAR's tokenizer: a convolutional VQGAN in LlamaGen's VQ-16 form with an L2-normalised codebook. Every scale is the
 * SAME latent, area-pooled and quantised on its own: no residual, no phi. Source: `models/vq_llama.py`, `trainer.py` (code).
 * Shape letters: B batch, C code width, P latent side, L tokens of a schedule, N0 tokens of its first scale.
 */
import { CosineVq } from "../../codec/cosineVq.ts";
import { resampleMap, resampleSites } from "../../codec/scaleMatrices.ts";
import type { ImageCodec } from "../../codec/types.ts";
import {
  type AutoencoderConfig,
  decoder,
  downsampleFactor,
  encoder,
  llamaGenLayout,
} from "../../nn/convAutoencoder.ts";
import { conv } from "../../nn/layers.ts";
import type { Scope } from "../../nn/scope.ts";
import { type Dim, mulDims } from "../../tensor/dims.ts";
import { matmul } from "../../tensor/ops/linear.ts";
import { reshape, stopGradient, transpose } from "../../tensor/ops/structure.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { TokenizerConfig } from "./config.ts";

/** Graph functions of the tokenizer; parameters come from `scope` (empty prefix for official files). */
export class FlexTokenizer implements ImageCodec {
  readonly config: TokenizerConfig;
  readonly vq: CosineVq;
  readonly space;
  readonly #scope: Scope;

  constructor(scope: Scope, config: TokenizerConfig) {
    this.#scope = scope;
    this.config = config;
    this.vq = new CosineVq(scope.in("quantize"), config);
    this.space = { kind: "ids", vocabSize: config.vocabSize } as const;
  }

  #net(chMult: readonly number[]): AutoencoderConfig {
    return { ...this.config, chMult };
  }

  /** Pixels per latent site along one side. */
  get factor(): number {
    return downsampleFactor(this.#net(this.config.decoderChMult));
  }

  /** Side in pixels of a training picture. */
  get imageSize(): number {
    return this.config.latentSide * this.factor;
  }

  /** Pictures [B, 3, H, W] in [-1, 1] -> latents [B, C, P, P]. Source: code, `encode_conti`. */
  encode(images: Tensor): Tensor {
    const { encoderChMult, codeWidth } = this.config;
    const layout = llamaGenLayout("down", encoderChMult.length);
    const hidden = encoder(this.#scope.in("encoder"), images, this.#net(encoderChMult), layout);
    return conv(this.#scope.in("quant_conv"), hidden, codeWidth, 1);
  }

  /** Code maps [B, C, p, p] of any side -> pictures [B, 3, p f, p f], not clamped. */
  decode(features: Tensor): Tensor {
    const { decoderChMult, zChannels } = this.config;
    const hidden = conv(this.#scope.in("post_quant_conv"), features, zChannels, 1);
    const layout = llamaGenLayout("up", decoderChMult.length);
    return decoder(this.#scope.in("decoder"), hidden, this.#net(decoderChMult), layout);
  }

  /** Codes [B, p^2, C] of a scale as a map [B, C, p, p]. */
  map(codes: Tensor, side: Dim): Tensor {
    const [b, , c] = codes.shape as [Dim, Dim, Dim];
    return reshape(transpose(codes, [0, 2, 1]), [b, c, side, side]);
  }

  /** Latents [B, C, P, P] and pooling [P^2, L] -> ids [B, L] of all scales. */
  quantise(latents: Tensor, pool: Tensor): Tensor {
    return this.vq.nearest(resampleMap(latents, pool));
  }

  /** What the transformer sees of past tokens [B, L]: their codes, brought to the next scales by `next` [L, K]: [B, K, C]. */
  nextInput(past: Tensor, next: Tensor): Tensor {
    return stopGradient(resampleSites(this.vq.lookup(past), next));
  }

  /** The same of the model's own tokens, whose codes have length 1 whatever the codebook's form (code, `vae_embedding`). */
  ownInput(past: Tensor, next: Tensor): Tensor {
    return stopGradient(resampleSites(this.vq.unit(this.vq.lookup(past)), next));
  }

  /**
   * One scale of the training forward: latents [B, C, P, P], pooling of one axis [P, p] -> reconstruction
   * [B, 3, p f, p f], not clamped, and what trains the codebook. Pooled after `quant_conv` as the trainers do; the official
   * training forward pools before it, which is the same for a 1 x 1 convolution up to round-off.
   */
  forward(latents: Tensor, rows: Tensor) {
    const pooled = shrink(latents, rows); // (B, C, p, p)
    const [b, c, side] = pooled.shape as [Dim, Dim, Dim];
    const vectors = transpose(reshape(pooled, [b, c, mulDims(side, side)]), [0, 2, 1]); // (B, p^2, C)
    const quantised = this.vq.forward(vectors);
    return { ...quantised, reconstruction: this.decode(this.map(quantised.output, side)) };
  }
}

/** Resizes both axes of maps [B, C, S, S] by `rows` [S, t]: [B, C, t, t]. */
export function shrink(maps: Tensor, rows: Tensor): Tensor {
  const wide = matmul(maps, rows); // (B, C, S, t)
  return transpose(matmul(transpose(wide, [0, 1, 3, 2]), rows), [0, 1, 3, 2]); // (B, C, t, t)
}

/**
 * A variational autoencoder with a small KL term: pictures to maps of continuous latents and back. Source: latent diffusion's
 * autoencoder as in MAR `models/vae.py` (code); parameter names are the official ones.
 * Shape letters: B batch, C latent channels, P side of the map.
 */
import {
  type AutoencoderConfig,
  decoder,
  downsampleFactor,
  encoder,
  vaeLayout,
} from "../nn/convAutoencoder.ts";
import { conv } from "../nn/layers.ts";
import { filled, type Scope } from "../nn/scope.ts";
import { trace } from "../runtime/trace.ts";
import { symbol } from "../tensor/dims.ts";
import { add, div, exp, maximum, minimum, mul, square, sub } from "../tensor/ops/elementwise.ts";
import { split, sum } from "../tensor/ops/structure.ts";
import { float32, scalar, type Tensor } from "../tensor/tensor.ts";
import type { ImageCodec } from "./types.ts";

/** `zChannels` is the width of a latent. */
export interface KlAutoencoderConfig extends AutoencoderConfig {
  /** Side of the map of a picture. */
  readonly latentSide: number;
  /** Latents times this have a deviation of 1; null: measured in training and kept with the weights. */
  readonly scaleFactor: number | null;
}

/** Normal distribution of the latents, unscaled, [B, C, P, P] each. */
export interface Posterior {
  readonly mean: Tensor;
  /** Within [-30, 20]. */
  readonly logVariance: Tensor;
}

/** The parameter that holds a measured scale, under the autoencoder's prefix. */
export const scaleName = "scale_factor";

export class KlAutoencoder implements ImageCodec {
  readonly config: KlAutoencoderConfig;
  readonly space;
  readonly #scope: Scope;

  constructor(scope: Scope, config: KlAutoencoderConfig) {
    this.#scope = scope;
    this.config = config;
    this.space = { kind: "vectors", width: config.zChannels } as const;
  }

  /** Side in pixels of a picture. */
  get imageSize(): number {
    return this.config.latentSide * downsampleFactor(this.config);
  }

  /** Latents times this have a deviation of 1. */
  get scale(): Tensor {
    const { scaleFactor } = this.config;
    return scaleFactor === null ? this.#scope.param(scaleName, [], filled(1)) : scalar(scaleFactor);
  }

  /** Pictures [B, 3, H, W] in [-1, 1] -> their posterior. */
  posterior(images: Tensor): Posterior {
    const { zChannels: c } = this.config;
    const wide = { ...this.config, zChannels: 2 * c };
    const moments = conv(
      this.#scope.in("quant_conv"),
      encoder(this.#scope.in("encoder"), images, wide, vaeLayout("down")),
      2 * c,
      1,
    );
    const [mean, logVariance] = split(moments, 1, [c, c]) as [Tensor, Tensor]; // two parts
    return { mean, logVariance: maximum(minimum(logVariance, 20), -30) };
  }

  /** Means of the scaled latents. */
  encode(images: Tensor): Tensor {
    return mul(this.posterior(images).mean, this.scale);
  }

  /** Unscaled latents -> pictures, not clamped. */
  reconstruct(latents: Tensor): Tensor {
    const hidden = conv(this.#scope.in("post_quant_conv"), latents, this.config.zChannels, 1);
    return decoder(this.#scope.in("decoder"), hidden, this.config, vaeLayout("up"));
  }

  /** Scaled latents -> pictures, not clamped. */
  decode(latents: Tensor): Tensor {
    return this.reconstruct(div(latents, this.scale));
  }
}

/** Half a deviation of the logarithm: sqrt of the variance. */
export function deviation({ logVariance }: Posterior): Tensor {
  return exp(mul(logVariance, 0.5));
}

/** A draw of unscaled latents from standard normal numbers of their shape. */
export function drawLatents(posterior: Posterior, noise: Tensor): Tensor {
  return add(posterior.mean, mul(deviation(posterior), noise));
}

/** Kullback-Leibler divergence to the standard normal distribution, in nats, summed over a picture: [B]. */
export function klDivergence({ mean, logVariance }: Posterior): Tensor {
  const terms = sub(add(square(mean), exp(logVariance)), add(logVariance, 1));
  return mul(sum(terms, [1, 2, 3]), 0.5);
}

const pictures = ({ config, imageSize }: KlAutoencoder) => ({
  images: float32(symbol("B"), config.inChannels, imageSize, imageSize),
});

/** Pictures -> mean and deviation of their scaled latents [B, C, P, P]. */
export function latentsGraph(codec: KlAutoencoder) {
  return trace(pictures(codec), ({ images }) => {
    const posterior = codec.posterior(images);
    return {
      mean: mul(posterior.mean, codec.scale),
      deviation: mul(deviation(posterior), codec.scale),
    };
  });
}

/** Scaled latents [B, C, P, P] -> pictures clamped to [-1, 1]. */
export function picturesGraph(codec: KlAutoencoder) {
  const { zChannels, latentSide: side } = codec.config;
  return trace({ latents: float32(symbol("B"), zChannels, side, side) }, ({ latents }) => ({
    images: maximum(minimum(codec.decode(latents), 1), -1),
  }));
}

/** Pictures -> the same from the means of their latents, not clamped. */
export function klRoundTripGraph(codec: KlAutoencoder) {
  return trace(pictures(codec), ({ images }) => ({
    images: codec.reconstruct(codec.posterior(images).mean),
  }));
}

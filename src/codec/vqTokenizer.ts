/**
 * LlamaGen's tokenizer: a convolutional VQGAN with one map of L2-normalised codes, row by row. Names are the official ones.
 * Source: LlamaGen `tokenizer/tokenizer_image/vq_model.py` (code). Shape letters: B pictures, P map side, C code width, L = P^2.
 */
import {
  type AutoencoderConfig,
  decoder,
  downsampleFactor,
  encoder,
  llamaGenLayout,
} from "../nn/convAutoencoder.ts";
import { conv } from "../nn/layers.ts";
import type { Scope } from "../nn/scope.ts";
import { trace } from "../runtime/trace.ts";
import { type Dim, mulDims, symbol } from "../tensor/dims.ts";
import { maximum, minimum } from "../tensor/ops/elementwise.ts";
import { reshape, transpose } from "../tensor/ops/structure.ts";
import { float32, int32, type Tensor } from "../tensor/tensor.ts";
import { CosineVq, type CosineVqConfig, type Quantised } from "./cosineVq.ts";
import type { ImageCodec } from "./types.ts";

export interface VqTokenizerConfig extends AutoencoderConfig, CosineVqConfig {
  /** Side of the map of a picture. */
  readonly latentSide: number;
}

/** Maps [B, C, h, w] as rows [B, h w, C]. */
function rowsOf(map: Tensor): Tensor {
  const [b, c, h, w] = map.shape as [Dim, Dim, Dim, Dim];
  return transpose(reshape(map, [b, c, mulDims(h, w)]), [0, 2, 1]);
}

export class VqTokenizer implements ImageCodec {
  readonly config: VqTokenizerConfig;
  readonly vq: CosineVq;
  readonly space;
  readonly #scope: Scope;

  constructor(scope: Scope, config: VqTokenizerConfig) {
    this.#scope = scope;
    this.config = config;
    this.vq = new CosineVq(scope.in("quantize"), config);
    this.space = { kind: "ids", vocabSize: config.vocabSize } as const;
  }

  /** Side in pixels of a picture. */
  get imageSize(): number {
    return this.config.latentSide * downsampleFactor(this.config);
  }

  /** Pictures -> the encoder's output [B, zChannels, P, P], before it is made as wide as a code. */
  features(images: Tensor): Tensor {
    return encoder(
      this.#scope.in("encoder"),
      images,
      this.config,
      llamaGenLayout("down", this.config.chMult.length),
    );
  }

  /** Pictures [B, 3, S, S] in [-1, 1] -> latents [B, C, P, P]. */
  encode(images: Tensor): Tensor {
    return conv(this.#scope.in("quant_conv"), this.features(images), this.config.codeWidth, 1);
  }

  /** Code maps [B, C, P, P] -> pictures [B, 3, S, S], not clamped. */
  decode(map: Tensor): Tensor {
    const hidden = conv(this.#scope.in("post_quant_conv"), map, this.config.zChannels, 1);
    return decoder(
      this.#scope.in("decoder"),
      hidden,
      this.config,
      llamaGenLayout("up", this.config.chMult.length),
    );
  }

  /** Latents [B, C, P, P] -> ids [B, L]. */
  quantise(latents: Tensor): Tensor {
    return this.vq.nearest(rowsOf(latents));
  }

  /** Ids [B, rows * columns] -> code maps [B, C, rows, columns]. */
  codes(ids: Tensor, rows: Dim, columns: Dim): Tensor {
    return this.#map(this.vq.lookup(ids), rows, columns);
  }

  #map(codes: Tensor, rows: Dim, columns: Dim): Tensor {
    const [b, , c] = codes.shape as [Dim, Dim, Dim];
    return reshape(transpose(codes, [0, 2, 1]), [b, c, rows, columns]);
  }

  /** Training forward: reconstruction (not clamped), and what trains the codebook. Source: code, `VQModel.forward`. */
  forward(images: Tensor): Quantised & { readonly reconstruction: Tensor } {
    const latents = this.encode(images);
    const [, , rows, columns] = latents.shape as [Dim, Dim, Dim, Dim];
    const quantised = this.vq.forward(rowsOf(latents));
    return { ...quantised, reconstruction: this.decode(this.#map(quantised.output, rows, columns)) };
  }
}

const B = symbol("B");

function pictures({ config, imageSize }: VqTokenizer) {
  return { images: float32(B, config.inChannels, imageSize, imageSize) };
}

/** Pictures -> latents [B, C, P, P]. */
export function latentsGraph(tokenizer: VqTokenizer) {
  return trace(pictures(tokenizer), ({ images }) => ({ features: tokenizer.encode(images) }));
}

/** Pictures -> ids [B, L]. */
export function idsGraph(tokenizer: VqTokenizer) {
  return trace(pictures(tokenizer), ({ images }) => ({ ids: tokenizer.quantise(tokenizer.encode(images)) }));
}

/** Ids [B, L] -> pictures clamped to [-1, 1]. */
export function pictureGraph(tokenizer: VqTokenizer) {
  const { latentSide: side } = tokenizer.config;
  return trace({ ids: int32(B, side * side) }, ({ ids }) => ({
    images: maximum(minimum(tokenizer.decode(tokenizer.codes(ids, side, side)), 1), -1),
  }));
}

/** Pictures -> the same through encoder, quantiser and decoder, not clamped. */
export function vqRoundTripGraph(tokenizer: VqTokenizer) {
  return trace(pictures(tokenizer), ({ images }) => ({ images: tokenizer.forward(images).reconstruction }));
}

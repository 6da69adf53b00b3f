/**
 * VAR's tokenizer: encoder, `quant_conv`, multi-scale residual quantiser, `post_quant_conv`, decoder. Names are the official
 * ones. Source: `models/vqvae.py` (code).
 */
import {
  type AutoencoderConfig,
  decoder,
  downsampleFactor,
  encoder,
  varLayout,
} from "../nn/convAutoencoder.ts";
import { conv } from "../nn/layers.ts";
import type { Scope } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { MultiScaleVq, type QuantiserConfig } from "./multiScaleVq.ts";
import type { ResidualCodec } from "./types.ts";

export interface MultiScaleTokenizerConfig extends AutoencoderConfig, QuantiserConfig {
  /** Weight of the commitment term. */
  readonly beta: number;
  /** Side of `quant_conv` and `post_quant_conv`, odd; 3 when absent. */
  readonly quantConvKernel?: number | undefined;
}

/** Graph functions of the tokenizer; parameters come from `scope` (empty prefix for official files). */
export class MultiScaleTokenizer implements ResidualCodec {
  readonly config: MultiScaleTokenizerConfig;
  readonly plan: Plan<Scale>;
  readonly vq: MultiScaleVq;
  readonly space;
  readonly #scope: Scope;

  constructor(scope: Scope, config: MultiScaleTokenizerConfig, plan: Plan<Scale>) {
    this.#scope = scope;
    this.config = config;
    this.plan = plan;
    this.vq = new MultiScaleVq(scope.in("quantize"), config, plan);
    this.space = { kind: "ids", vocabSize: config.vocabSize } as const;
  }

  /** Side in pixels of the pictures this tokenizer codes. */
  get imageSize(): number {
    return this.vq.side * downsampleFactor(this.config);
  }

  get #kernel(): number {
    return this.config.quantConvKernel ?? 3;
  }

  /** Pictures [B, 3, H, W] in [-1, 1] -> features [B, C, P, P]. */
  encode(images: Tensor): Tensor {
    const latents = encoder(this.#scope.in("encoder"), images, this.config, varLayout("down"));
    return conv(this.#scope.in("quant_conv"), latents, this.config.zChannels, this.#kernel);
  }

  /** Features [B, C, P, P] -> pictures [B, 3, H, W], not clamped. */
  decode(features: Tensor): Tensor {
    const latents = conv(this.#scope.in("post_quant_conv"), features, this.config.zChannels, this.#kernel);
    return decoder(this.#scope.in("decoder"), latents, this.config, varLayout("up"));
  }

  quantise(features: Tensor): { ids: Tensor[]; reconstructions: Tensor[] } {
    return this.vq.quantise(features);
  }

  teacherInput(ids: Tensor): Tensor {
    return this.vq.teacherInput(ids);
  }

  /** Training forward: reconstruction (not clamped), VQ loss and ids per scale. Source: code, `VQVAE.forward`. */
  forward(images: Tensor): { reconstruction: Tensor; vqLoss: Tensor; ids: Tensor[] } {
    const { output, loss, ids } = this.vq.forward(this.encode(images), this.config.beta);
    return { reconstruction: this.decode(output), vqLoss: loss, ids };
  }
}

/**
 * The encoder-decoder of one-shot series forecasters. What mixes over time, what follows a residual sum and what ends a
 * stack are handed in, so that the vanilla transformer, Autoformer and what lies between them are values, not branches.
 * Source: Autoformer `layers/Autoformer_EncDec.py` (code), whose parameter names are kept.
 * Shape letters: B batch, L steps, C width, H heads, E head width, O output channels.
 */
import { linear } from "../nn/layers.ts";
import { fanInUniform, type Scope, uniform } from "../nn/scope.ts";
import { circularConv } from "../nn/series.ts";
import type { Dim } from "../tensor/dims.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { linear as linearOp } from "../tensor/ops/linear.ts";
import { gelu } from "../tensor/ops/neural.ts";
import { reshape } from "../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import type { HeadMixer } from "./headMixer.ts";

/** A residual sum after its treatment: what goes on, and a trend that leaves the stack. */
export interface Settled {
  readonly x: Tensor;
  readonly trend?: Tensor;
}

export interface SeriesTransformerConfig {
  readonly embedDim: number;
  readonly numHeads: number;
  readonly feedForwardDim: number;
  readonly encoderDepth: number;
  readonly decoderDepth: number;
  /** Output channels O. */
  readonly outputs: number;
}

export interface SeriesTransformerParts {
  readonly encoderMixer: HeadMixer;
  readonly selfMixer: HeadMixer;
  readonly crossMixer: HeadMixer;
  readonly activation?: (x: Tensor) => Tensor;
  /** After a residual sum x [B, L, C]; the scope is for a norm's parameters. */
  settle(scope: Scope, x: Tensor): Settled;
  /** After the last layer of a stack. */
  finish(scope: Scope, x: Tensor): Tensor;
}

const exactGelu = (x: Tensor): Tensor => gelu(x, "none");

/** Encoder and decoder over embedded series. */
export class SeriesTransformer {
  readonly #scope: Scope;
  readonly #config: SeriesTransformerConfig;
  readonly #parts: SeriesTransformerParts;

  constructor(scope: Scope, config: SeriesTransformerConfig, parts: SeriesTransformerParts) {
    this.#scope = scope;
    this.#config = config;
    this.#parts = parts;
  }

  /** [B, L, C] -> [B, L, C]. */
  encode(x: Tensor): Tensor {
    const scope = this.#scope.in("encoder");
    const { encoderMixer, settle, finish } = this.#parts;
    let state = x;
    for (let i = 0; i < this.#config.encoderDepth; i++) {
      const layer = scope.in("attn_layers", i);
      const mixed = this.#mix(layer.in("attention"), encoderMixer, state, state);
      state = settle(layer.in("norm1"), add(state, mixed)).x;
      state = settle(layer.in("norm2"), add(state, this.#feedForward(layer, state))).x;
    }
    return finish(scope.in("norm"), state);
  }

  /** Decoder over x [B, L, C] and the encoder's [B, S, C] -> outputs [B, L, O] and the trends of its layers, each [B, L, O]. */
  decode(x: Tensor, memory: Tensor): { readonly output: Tensor; readonly trends: readonly Tensor[] } {
    const scope = this.#scope.in("decoder");
    const { selfMixer, crossMixer, settle, finish } = this.#parts;
    const { outputs, decoderDepth } = this.#config;
    const trends: Tensor[] = [];
    let state = x;
    for (let i = 0; i < decoderDepth; i++) {
      const layer = scope.in("layers", i);
      const left: Tensor[] = [];
      const pass = (name: string, sum: Tensor): Tensor => {
        const { x: settled, trend } = settle(layer.in(name), sum);
        if (trend) left.push(trend);
        return settled;
      };
      const own = this.#mix(layer.in("self_attention"), selfMixer, state, state);
      state = pass("norm1", add(state, own));
      state = pass("norm2", add(state, this.#mix(layer.in("cross_attention"), crossMixer, state, memory)));
      state = pass("norm3", add(state, this.#feedForward(layer, state)));
      if (left.length > 0) {
        const total = left.reduce((a, b) => add(a, b));
        trends.push(circularConv(layer.in("projection"), total, outputs, fanInUniform));
      }
    }
    const bias = uniform(1 / Math.sqrt(this.#config.embedDim));
    const output = linear(scope.in("projection"), finish(scope.in("norm"), state), outputs, { bias });
    return { output, trends };
  }

  #mix(scope: Scope, mixer: HeadMixer, from: Tensor, to: Tensor): Tensor {
    const { embedDim: c, numHeads } = this.#config;
    const bias = uniform(1 / Math.sqrt(c));
    const width = Math.floor(c / numHeads);
    const all = numHeads * width; // less than C where the heads do not divide it (code)
    const project = (name: string, x: Tensor) => {
      const [b, l] = x.shape as [Dim, Dim, Dim];
      const projected = linear(scope.in(`${name}_projection`), x, all, { bias });
      return reshape(projected, [b, l, numHeads, width]); // (B, L, H, E)
    };
    const mixed = mixer(project("query", from), project("key", to), project("value", to));
    const [b, l] = from.shape as [Dim, Dim, Dim];
    return linear(scope.in("out_projection"), reshape(mixed, [b, l, all]), c, { bias });
  }

  /** Two layers without bias, stored as convolutions of width 1. */
  #feedForward(scope: Scope, x: Tensor): Tensor {
    const { embedDim: c, feedForwardDim: hidden } = this.#config;
    const { activation = exactGelu } = this.#parts;
    const point = (name: string, input: Tensor, out: number) => {
      const inside = staticDim(dimOf(input, 2), "A layer");
      const weight = scope.in(name).param("weight", [out, inside, 1], fanInUniform);
      return linearOp(input, reshape(weight, [out, inside]));
    };
    return point("conv2", activation(point("conv1", x, hidden)), c);
  }
}

/**
 * Blocks modulated by a condition, with RMS norms, rotary positions and a gated feed-forward; and the double stack of
 * FlowAR and xAR over it, called encoder and decoder: both see the same tokens. Source: `models/flowar.py`,
 * `models/xar.py` (code); parameter names are the official ones.
 * Shape letters: B rows, L tokens, M keys, C width, H heads, D head width; T conditions per row.
 */
import { attend, attendWithin, linear, modulate, rms, rmsNorm } from "../nn/layers.ts";
import { type Rotation, rotatePairs } from "../nn/rotary.ts";
import { normal, type Scope, xavierUniform } from "../nn/scope.ts";
import type { Dim } from "../tensor/dims.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { gatherRows } from "../tensor/ops/gather.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { gelu, silu } from "../tensor/ops/neural.ts";
import { concat, reshape, split, transpose } from "../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import type { CachedOptions, KeyValue, LayerOptions, LayerResult } from "./types.ts";

/** Width of the normalisations' floor. */
export const rmsEps = 1e-6;

export interface GatedRmsConfig {
  readonly numHeads: number;
  /** The feed-forward has floor(2 / 3 mlpRatio C) hidden channels. */
  readonly mlpRatio: number;
  readonly qkvBias: boolean;
}

export interface RotaryOptions extends Omit<LayerOptions, "keep"> {
  /** Of the L tokens; keys of the past are stored turned. */
  readonly rotation?: Rotation;
}

const init = { weight: xavierUniform };
const unbiased = { weight: xavierUniform, bias: null };

/** [B, L, H D] -> [B, H, L, D]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [b, l] = x.shape as [Dim, Dim];
  const width = staticDim(dimOf(x, -1), "Attention");
  return transpose(reshape(x, [b, l, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, H, L, D] -> [B, L, H D]. */
export function joinHeads(x: Tensor): Tensor {
  const [b, h, l, d] = x.shape as [Dim, number, Dim, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [b, l, h * d]);
}

/** Linear layers start as Xavier's uniform distribution with zero biases. */
export function dense(scope: Scope, x: Tensor, out: number, bias = true): Tensor {
  return linear(scope, x, out, bias ? init : unbiased);
}

/** Self-attention over x [B, L, C] and the past. */
export function rotaryAttention(
  scope: Scope,
  x: Tensor,
  { numHeads, qkvBias }: Pick<GatedRmsConfig, "numHeads" | "qkvBias">,
  { rotation, bias, past, spans }: RotaryOptions,
): { readonly out: Tensor; readonly cache: KeyValue } {
  const width = staticDim(dimOf(x, -1), "Attention");
  const joint = dense(scope.in("qkv"), x, 3 * width, qkvBias);
  const heads = split(joint, 2, [width, width, width]).map((part) => splitHeads(part, numHeads));
  const [q, k, v] = heads as [Tensor, Tensor, Tensor]; // three parts
  const turn = (y: Tensor) => (rotation === undefined ? y : rotatePairs(y, rotation));
  let [key, value] = [turn(k), v];
  if (past !== undefined) {
    key = concat([past.key, key], 2);
    value = concat([past.value, value], 2);
  }
  const [query, scale] = [turn(q), 1 / Math.sqrt(width / numHeads)];
  const mixed = spans
    ? attendWithin(spans, query, key, value, scale)
    : attend(query, key, value, scale, bias);
  return { out: dense(scope.in("proj"), joinHeads(mixed), width), cache: { key, value } };
}

/** Hidden channels of a gated feed-forward of width C. */
export const gatedHidden = (width: number, mlpRatio: number): number =>
  Math.floor((width * mlpRatio * 2) / 3);

/** A ratio with so many hidden channels: 4, which all published models have, or a short one where that fits. */
export function gatedRatio(hidden: number, width: number): number {
  const short = [4, Math.round((hidden * 150) / width) / 100];
  return short.find((ratio) => gatedHidden(width, ratio) === hidden) ?? ((hidden + 0.5) * 1.5) / width;
}

/** fc2(GELU(fc1_g(x)) * fc1_x(x)): [..., C] -> [..., C]. */
export function gatedFeedForward(scope: Scope, x: Tensor, mlpRatio: number): Tensor {
  const width = staticDim(dimOf(x, -1), "A feed-forward");
  const hidden = gatedHidden(width, mlpRatio);
  const gate = gelu(dense(scope.in("fc1_g"), x, hidden), "none");
  return dense(scope.in("fc2"), mul(gate, dense(scope.in("fc1_x"), x, hidden)), width);
}

/** Vectors that modulate a block of width C, from a condition [B, T, K]: `count` of [B, T, C]; `scope` is the layer's. */
export function conditionVectors(scope: Scope, condition: Tensor, count: number, width: number): Tensor[] {
  return split(dense(scope, silu(condition), count * width), 2, Array<number>(count).fill(width));
}

/**
 * One block: x [B, L, C] under six vectors (gates of both branches, scales, shifts) [B, T, C] each.
 * x += g1 attention(RMS(x) (1 + s1) + b1); x += g2 feedForward(RMS(x) (1 + s2) + b2).
 */
export function gatedRmsBlock(
  scope: Scope,
  x: Tensor,
  vectors: readonly Tensor[],
  config: GatedRmsConfig,
  options: RotaryOptions,
): LayerResult {
  const [g1, g2, s1, s2, b1, b2] = vectors as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]; // six by contract
  const { out, cache } = rotaryAttention(scope.in("attn"), modulate(rms(x, rmsEps), s1, b1), config, options);
  const attended = add(x, mul(g1, out));
  const fed = gatedFeedForward(scope.in("mlp"), modulate(rms(attended, rmsEps), s2, b2), config.mlpRatio);
  return { x: add(attended, mul(g2, fed)), cache };
}

export interface DoubleStackConfig {
  readonly embedDim: number;
  readonly encoderDepth: number;
  readonly encoderNumHeads: number;
  readonly decoderDepth: number;
  readonly decoderNumHeads: number;
  readonly mlpRatio: number;
}

export interface StackOptions {
  /** Of the L tokens, for heads of a width. */
  rotation(headWidth: number): Rotation;
  /** Numbers of the L tokens [L] (int32) in the tables of positions; all tokens when absent. */
  readonly places?: Tensor;
  /** Which of the T conditions a token has, [L, T] of ones and zeros; T is 1 or L when absent. */
  readonly spread?: Tensor;
  /** Mask and past of a layer; encoder layers come first. */
  layer(i: number): CachedOptions;
}

export interface StackResult {
  /** After the encoder and its norm, [B, L, C]. */
  readonly encoded: Tensor;
  /** After the decoder and its norm, [B, L, C]. */
  readonly x: Tensor;
  readonly caches: readonly KeyValue[];
}

/** Encoder and decoder over the same tokens, each with a learned table of positions. */
export class DoubleStack {
  /** Heads and head width of every layer. */
  readonly layers: readonly { readonly heads: number; readonly width: number }[];
  readonly #scope: Scope;
  readonly #config: DoubleStackConfig;
  readonly #length: number;

  /** `length` is the number of positions in the tables. */
  constructor(scope: Scope, config: DoubleStackConfig, length: number) {
    const { embedDim, encoderDepth, encoderNumHeads, decoderDepth, decoderNumHeads } = config;
    const layer = (heads: number) => ({ heads, width: embedDim / heads });
    this.#scope = scope;
    this.#config = config;
    this.#length = length;
    this.layers = [
      ...Array.from({ length: encoderDepth }, () => layer(encoderNumHeads)),
      ...Array.from({ length: decoderDepth }, () => layer(decoderNumHeads)),
    ];
  }

  /** Rows of a learned table of positions, `<part>_pos_embed_learned`: [1, L, C], or [N, C] at places. */
  positions(part: string, places?: Tensor): Tensor {
    const { embedDim } = this.#config;
    const table = this.#scope.param(`${part}_pos_embed_learned`, [1, this.#length, embedDim], normal(0.02));
    return places === undefined ? table : gatherRows(reshape(table, [this.#length, embedDim]), places);
  }

  /** Embedded tokens x [B, L, C] under conditions [B, T, C] through both stacks. */
  run(x: Tensor, condition: Tensor, { rotation, places, spread, layer }: StackOptions): StackResult {
    const { embedDim, encoderDepth, mlpRatio } = this.#config;
    const caches: KeyValue[] = [];
    const blocks = (part: "encoder" | "decoder", from: number, to: number, start: Tensor) => {
      let h = start;
      for (let i = from; i < to; i++) {
        const block = this.#scope.in(`${part}_blocks`, i - from);
        const { heads, width } = this.layers[i] as { heads: number; width: number }; // in range
        const given = conditionVectors(block.in("ada_lin", 1), condition, 6, embedDim);
        const vectors = spread === undefined ? given : given.map((vector) => matmul(spread, vector));
        const result = gatedRmsBlock(
          block,
          h,
          vectors,
          { numHeads: heads, mlpRatio, qkvBias: true },
          { ...layer(i), rotation: rotation(width) },
        );
        h = result.x;
        caches.push(result.cache);
      }
      return rmsNorm(this.#scope.in(`${part}_norm`), h, rmsEps);
    };
    const placed = add(x, this.positions("encoder", places));
    const normed = rmsNorm(this.#scope.in("z_proj_ln"), placed, rmsEps);
    const encoded = blocks("encoder", 0, encoderDepth, normed);
    const second = add(
      dense(this.#scope.in("decoder_embed"), encoded, embedDim),
      this.positions("decoder", places),
    );
    return { encoded, x: blocks("decoder", encoderDepth, this.layers.length, second), caches };
  }
}

/**
 * LlamaGen's decoder: RMS norms, rotary positions over a grid, gated feed-forward, no biases; heads may read after any layer.
 * Source: LlamaGen `autoregressive/models/gpt.py`, NAR (code); parameter names are the official ones.
 * Shape letters: B rows, L tokens, C width, H heads, D head width, V codes.
 */
import { attend } from "../nn/layers.ts";
import { filled, type Initializer, normal, type Scope, zeros } from "../nn/scope.ts";
import type { Dim } from "../tensor/dims.ts";
import { add, div, mul, sqrt, square, sub } from "../tensor/ops/elementwise.ts";
import { linear } from "../tensor/ops/linear.ts";
import { mean, silu } from "../tensor/ops/neural.ts";
import { concat, reshape, slice, transpose } from "../tensor/ops/structure.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { KeyValue, LayerOptions } from "./types.ts";

export interface LlamaConfig {
  readonly dim: number;
  readonly nHead: number;
  /** Feed-forward width: 8 / 3 of `dim`, rounded up to a multiple of this. */
  readonly multipleOf: number;
  readonly normEps: number;
  readonly vocabSize: number;
}

/** A head that reads the hidden state after some layers. */
export interface Readout {
  readonly after: number;
  readonly norm: string;
  readonly output: string;
  /** First weights; officially zeros for the first head. */
  readonly init: Initializer;
}

/** Official first values. */
export const llamaInit = normal(0.02);
export const zeroInit = zeros;

/** Cosines and sines of the pairs of a head, [L, D / 2] each. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Angles of a grid with a prefix token: [(1 + rows * columns) * D / 2] cosines and sines; first half of the pairs turn by row,
 * the others by column. The prefix has zeros for both, so its queries and keys vanish (code).
 */
export function gridRotation(rows: number, columns: number, headWidth: number, base = 10_000) {
  const [half, pairs] = [headWidth / 2, headWidth / 4];
  const cos = new Float32Array((1 + rows * columns) * half);
  const sin = new Float32Array(cos.length);
  for (let site = 0; site < rows * columns; site++) {
    const places = [Math.floor(site / columns), site % columns];
    for (let i = 0; i < half; i++) {
      const angle = (places[Math.floor(i / pairs)] as number) * base ** ((-2 * (i % pairs)) / half); // row, then column
      cos[(1 + site) * half + i] = Math.cos(angle);
      sin[(1 + site) * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

function rmsNorm(scope: Scope, x: Tensor, width: number, eps: number): Tensor {
  const scaled = div(x, sqrt(add(mean(square(x), [-1], true), eps)));
  return mul(scaled, scope.param("weight", [width], filled(1)));
}

function dense(scope: Scope, x: Tensor, out: number, width: number, init = llamaInit): Tensor {
  return linear(x, scope.param("weight", [out, width], init));
}

/** Turns neighbouring pairs of x [B, H, L, D]. */
function rotate(x: Tensor, { cos, sin }: Rotation): Tensor {
  const [b, h, l, d] = x.shape as [Dim, Dim, Dim, number];
  const pairs = reshape(x, [b, h, l, d / 2, 2]);
  const part = (i: number) => reshape(slice(pairs, 4, i, i + 1), [b, h, l, d / 2]);
  const [even, odd] = [part(0), part(1)];
  const turned = [sub(mul(even, cos), mul(odd, sin)), add(mul(odd, cos), mul(even, sin))];
  return reshape(
    concat(
      turned.map((half) => reshape(half, [b, h, l, d / 2, 1])),
      4,
    ),
    [b, h, l, d],
  );
}

function attention(
  scope: Scope,
  x: Tensor,
  { dim, nHead }: LlamaConfig,
  rotation: Rotation | undefined,
  { bias, past }: LayerOptions,
): { out: Tensor; cache: KeyValue } {
  const width = dim / nHead;
  const [b, l] = x.shape as [Dim, Dim];
  const joint = reshape(dense(scope.in("wqkv"), x, 3 * dim, dim), [b, l, 3, nHead, width]);
  const parts = transpose(joint, [2, 0, 3, 1, 4]); // (3, B, H, L, D)
  const part = (i: number) => reshape(slice(parts, 0, i, i + 1), [b, nHead, l, width]);
  const turn = (y: Tensor) => (rotation === undefined ? y : rotate(y, rotation));
  const q = turn(part(0));
  let [key, value] = [turn(part(1)), part(2)];
  if (past !== undefined) {
    key = concat([past.key, key], 2);
    value = concat([past.value, value], 2);
  }
  const mixed = attend(q, key, value, 1 / Math.sqrt(width), bias);
  const flat = reshape(transpose(mixed, [0, 2, 1, 3]), [b, l, dim]);
  return { out: dense(scope.in("wo"), flat, dim, dim), cache: { key, value } };
}

function feedForward(scope: Scope, x: Tensor, { dim, multipleOf }: LlamaConfig): Tensor {
  const hidden = Math.ceil(Math.floor((8 * dim) / 3) / multipleOf) * multipleOf;
  const gate = silu(dense(scope.in("w1"), x, hidden, dim));
  return dense(scope.in("w2"), mul(gate, dense(scope.in("w3"), x, hidden, dim)), dim, hidden);
}

/** x [B, L, C] through all layers that a readout needs -> logits [B, L, V] per readout, and every layer's cache. */
export function llamaLayers(
  scope: Scope,
  x: Tensor,
  config: LlamaConfig,
  readouts: readonly Readout[],
  { rotation, layer }: { readonly rotation?: Rotation; layer(i: number): LayerOptions },
): { readonly heads: Tensor[]; readonly caches: KeyValue[] } {
  const { dim, normEps, vocabSize } = config;
  const [heads, caches]: [Tensor[], KeyValue[]] = [[], []];
  const depth = Math.max(...readouts.map(({ after }) => after));
  let h = x;
  for (let i = 0; i < depth; i++) {
    const block = scope.in("layers", i);
    const normed = rmsNorm(block.in("attention_norm"), h, dim, normEps);
    const { out, cache } = attention(block.in("attention"), normed, config, rotation, layer(i));
    caches.push(cache);
    h = add(h, out);
    h = add(h, feedForward(block.in("feed_forward"), rmsNorm(block.in("ffn_norm"), h, dim, normEps), config));
    for (const { after, norm, output, init } of readouts) {
      if (after !== i + 1) continue;
      const read = rmsNorm(scope.in(norm), h, dim, normEps);
      heads.push(dense(scope.in(output), read, vocabSize, dim, init));
    }
  }
  return { heads, caches };
}

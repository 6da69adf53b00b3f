/**
 * LlamaGen's decoder: RMS norms, rotary positions over a grid, gated feed-forward, no biases; heads may read after any layer.
 * Source: LlamaGen `autoregressive/models/gpt.py`, NAR (code); parameter names are the official ones.
 * Shape letters: B rows, L tokens, C width, H heads, D head width, V codes.
 */
import { attend, rmsNorm } from "../nn/layers.ts";
import { placeAngles, type Rotation, rotatePairs } from "../nn/rotary.ts";
import { type Initializer, normal, type Scope, zeros } from "../nn/scope.ts";
import type { Dim } from "../tensor/dims.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { linear } from "../tensor/ops/linear.ts";
import { silu } from "../tensor/ops/neural.ts";
import { concat, reshape, slice, transpose } from "../tensor/ops/structure.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { CachedOptions, KeyValue } from "./types.ts";

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

/**
 * Angles of a grid with a prefix token: [(1 + rows * columns) * D] cosines and sines; the first half of a head turns by row,
 * the other by column. The prefix has zeros for both, so its queries and keys vanish (code).
 */
export function gridRotation(rows: number, columns: number, headWidth: number) {
  const places = Array.from(
    { length: rows * columns },
    (_, site) => [Math.floor(site / columns), site % columns] as const,
  );
  const angles = placeAngles(places, headWidth);
  const withPrefix = (table: Float32Array) => {
    const out = new Float32Array(headWidth + table.length);
    out.set(table, headWidth);
    return out;
  };
  return { cos: withPrefix(angles.cos), sin: withPrefix(angles.sin) };
}

function dense(scope: Scope, x: Tensor, out: number, width: number, init = llamaInit): Tensor {
  return linear(x, scope.param("weight", [out, width], init));
}

function attention(
  scope: Scope,
  x: Tensor,
  { dim, nHead }: LlamaConfig,
  rotation: Rotation | undefined,
  { bias, past }: CachedOptions,
): { out: Tensor; cache: KeyValue } {
  const width = dim / nHead;
  const [b, l] = x.shape as [Dim, Dim];
  const joint = reshape(dense(scope.in("wqkv"), x, 3 * dim, dim), [b, l, 3, nHead, width]);
  const parts = transpose(joint, [2, 0, 3, 1, 4]); // (3, B, H, L, D)
  const part = (i: number) => reshape(slice(parts, 0, i, i + 1), [b, nHead, l, width]);
  const turn = (y: Tensor) => (rotation === undefined ? y : rotatePairs(y, rotation));
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

/** Width of the feed-forward layer. */
export const feedForwardWidth = ({ dim, multipleOf }: Pick<LlamaConfig, "dim" | "multipleOf">): number =>
  Math.ceil(Math.floor((8 * dim) / 3) / multipleOf) * multipleOf;

function feedForward(scope: Scope, x: Tensor, config: LlamaConfig): Tensor {
  const { dim } = config;
  const hidden = feedForwardWidth(config);
  const gate = silu(dense(scope.in("w1"), x, hidden, dim));
  return dense(scope.in("w2"), mul(gate, dense(scope.in("w3"), x, hidden, dim)), dim, hidden);
}

/** x [B, L, C] through all layers that a readout needs -> logits [B, L, V] per readout, and every layer's cache. */
export function llamaLayers(
  scope: Scope,
  x: Tensor,
  config: LlamaConfig,
  readouts: readonly Readout[],
  { rotation, layer }: { readonly rotation?: Rotation; layer(i: number): CachedOptions },
): { readonly heads: Tensor[]; readonly caches: KeyValue[] } {
  const { dim, normEps, vocabSize } = config;
  const [heads, caches]: [Tensor[], KeyValue[]] = [[], []];
  const depth = Math.max(...readouts.map(({ after }) => after));
  let h = x;
  for (let i = 0; i < depth; i++) {
    const block = scope.in("layers", i);
    const normed = rmsNorm(block.in("attention_norm"), h, normEps);
    const { out, cache } = attention(block.in("attention"), normed, config, rotation, layer(i));
    caches.push(cache);
    h = add(h, out);
    h = add(h, feedForward(block.in("feed_forward"), rmsNorm(block.in("ffn_norm"), h, normEps), config));
    for (const { after, norm, output, init } of readouts) {
      if (after !== i + 1) continue;
      const read = rmsNorm(scope.in(norm), h, normEps);
      heads.push(dense(scope.in(output), read, vocabSize, dim, init));
    }
  }
  return { heads, caches };
}

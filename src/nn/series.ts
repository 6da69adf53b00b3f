/** Layers over series. Shape letters: B batch, L time steps, C channels. */
import { sub } from "../tensor/ops/elementwise.ts";
import { conv2d, linear } from "../tensor/ops/linear.ts";
import { broadcastTo, concat, reshape, slice, transpose } from "../tensor/ops/structure.ts";
import { constant, dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import type { Initializer, Scope } from "./scope.ts";

/** A series as what swings and what drifts; both add up to it. */
export interface Decomposed {
  readonly seasonal: Tensor;
  readonly trend: Tensor;
}

/**
 * Mean over a centred window of odd width, the first and last row repeated beyond the ends: x [B, L, C] -> [B, L, C].
 * Source: Autoformer `layers/Autoformer_EncDec.py`, moving_avg (code).
 */
export function movingAverage(x: Tensor, window: number): Tensor {
  const [batch, length, channels] = [dimOf(x, 0), staticDim(dimOf(x, 1), "A moving average"), dimOf(x, 2)];
  const half = (window - 1) / 2;
  const repeated = (row: number) => broadcastTo(slice(x, 1, row, row + 1), [batch, half, channels]);
  const padded = half === 0 ? x : concat([repeated(0), x, repeated(length - 1)], 1);
  const image = reshape(padded, [batch, 1, length + 2 * half, channels]);
  const kernel = constant(new Float32Array(window).fill(1 / window), [1, 1, window, 1]);
  return reshape(conv2d(image, kernel), x.shape);
}

/** Moving average and the rest. */
export function decompose(x: Tensor, window: number): Decomposed {
  const trend = movingAverage(x, window);
  return { seasonal: sub(x, trend), trend };
}

/**
 * Convolution of width 3 over time whose ends meet, without bias: x [B, L, C] -> [B, L, out]; `weight` [out, C, 3].
 */
export function circularConv(scope: Scope, x: Tensor, out: number, init: Initializer): Tensor {
  const [length, inside] = [
    staticDim(dimOf(x, 1), "A circular convolution"),
    staticDim(dimOf(x, 2), "A layer"),
  ];
  const weight = scope.param("weight", [out, inside, 3], init);
  const before = concat([slice(x, 1, length - 1, length), slice(x, 1, 0, length - 1)], 1);
  const after = concat([slice(x, 1, 1, length), slice(x, 1, 0, 1)], 1);
  const taps = concat([before, x, after], 2); // (B, L, 3 C)
  return linear(taps, reshape(transpose(weight, [0, 2, 1]), [out, 3 * inside]));
}

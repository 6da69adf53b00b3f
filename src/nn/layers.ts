/**
 * Layers as plain functions over named parameters. Shape letters: B batch, L tokens, C channels, H heads, D head width.
 */
import { add, div, less, minimum, mul, sqrt, square } from "../tensor/ops/elementwise.ts";
import { conv2dBias, linear as linearOp, matmul } from "../tensor/ops/linear.ts";
import { groupNorm as groupNormOp, mean, softmax } from "../tensor/ops/neural.ts";
import { cast, concat, reshape, split, sum } from "../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import { fanInUniform, filled, type Initializer, type Scope, uniform, zeros } from "./scope.ts";

/** `weight` [out, in] and `bias` [out]; x [..., in] -> [..., out]. */
export function linear(
  scope: Scope,
  x: Tensor,
  out: number,
  init: { weight?: Initializer; bias?: Initializer | null } = {},
): Tensor {
  const inside = staticDim(dimOf(x, -1), "A linear layer");
  const weight = scope.param("weight", [out, inside], init.weight ?? fanInUniform);
  if (init.bias === null) return linearOp(x, weight);
  return linearOp(x, weight, scope.param("bias", [out], init.bias ?? zeros));
}

/** `weight` [out, in, k, k] and `bias` [out]; pads default to "same" for odd kernels. */
export function conv(
  scope: Scope,
  x: Tensor,
  out: number,
  kernel: number,
  options: { stride?: number; pads?: readonly [number, number, number, number]; weight?: Initializer } = {},
): Tensor {
  const inside = staticDim(dimOf(x, 1), "A convolution");
  const half = (kernel - 1) / 2;
  const weight = scope.param("weight", [out, inside, kernel, kernel], options.weight ?? fanInUniform);
  const bias = scope.param("bias", [out], uniform(1 / Math.sqrt(inside * kernel * kernel)));
  return conv2dBias(x, weight, bias, {
    stride: options.stride ?? 1,
    pads: options.pads ?? [half, half, half, half],
  });
}

/** Group normalisation with `weight` and `bias` per channel; x [B, C, H, W]. */
export function groupNorm(scope: Scope, x: Tensor, groups: number, eps = 1e-6): Tensor {
  const channels = staticDim(dimOf(x, 1), "Group normalisation");
  const weight = reshape(scope.param("weight", [channels], filled(1)), [channels, 1, 1]);
  const bias = reshape(scope.param("bias", [channels], zeros), [channels, 1, 1]);
  return add(mul(groupNormOp(x, groups, eps), weight), bias);
}

/** x / sqrt(mean of x^2 + eps) over the last axis, without a weight. */
export function rms(x: Tensor, eps: number): Tensor {
  return div(x, sqrt(add(mean(square(x), [-1], true), eps)));
}

/** `rms` times a `weight` per channel. */
export function rmsNorm(scope: Scope, x: Tensor, eps: number): Tensor {
  const width = staticDim(dimOf(x, -1), "RMS normalisation");
  return mul(rms(x, eps), scope.param("weight", [width], filled(1)));
}

/** Biases below this hide: masks are finite, because a row of -infinity is NaN on some providers. */
const hiddenBelow = -1e8;

/**
 * softmax(q k^T * scale + bias) v over the last two axes: q [.., L, D], k and v [.., M, D], bias [L, M] -> [.., L, D].
 * A query from which the bias hides every key (-1e9) gets zeros.
 */
export function attend(q: Tensor, k: Tensor, v: Tensor, scale: number, bias?: Tensor): Tensor {
  const scores = mul(matmul(q, k, false, true), scale); // (.., L, M)
  if (bias === undefined) return matmul(softmax(scores), v);
  const seen = sum(cast(less(hiddenBelow, bias), "float32"), [-1], true); // (L, 1)
  return mul(matmul(softmax(add(scores, bias)), v), minimum(seen, 1));
}

/** `attend` of each part of the sites over itself, for parts of these lengths: q, k, v [B, H, L, D]. */
export function attendWithin(
  spans: readonly number[],
  q: Tensor,
  k: Tensor,
  v: Tensor,
  scale: number,
): Tensor {
  const [queries, keys, values] = [q, k, v].map((x) => split(x, 2, spans)) as [Tensor[], Tensor[], Tensor[]]; // three
  return concat(
    queries.map((query, i) => attend(query, keys[i] as Tensor, values[i] as Tensor, scale)), // one per part
    2,
  );
}

/** x * (1 + scale) + shift. */
export function modulate(x: Tensor, scale: Tensor, shift: Tensor): Tensor {
  return add(mul(x, add(scale, 1)), shift);
}

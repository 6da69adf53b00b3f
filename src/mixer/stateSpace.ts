/**
 * State-space layers with companion matrices: open loop, a convolution over the look-back; closed loop, where the layer
 * feeds its own next inputs to itself and any horizon is a power of one matrix.
 * Source: SpaceTime (arXiv 2303.09489), `model/ssm/companion.py`, `model/ssm/closed_loop/companion.py` (code).
 * Shape letters: B batch, L look-back, O horizon, C channels, K kernels, d state size.
 */
import {
  companionKernel,
  companionMatrix,
  krylov,
  type NormOrder,
  normalised,
  outer,
} from "../nn/companion.ts";
import { causalConvolution } from "../nn/fourier.ts";
import { normal, type Scope } from "../nn/scope.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { broadcastTo, reshape, transpose } from "../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";

export interface CompanionConfig {
  readonly numKernels: number;
  readonly stateSize: number;
  readonly normOrder: NormOrder;
}

/** Vectors of all kernels, [K, d] each, as stored. */
export interface StateSpace {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly c: Tensor;
}

/** With the vector that predicts the layer's next input. */
export interface ClosedStateSpace extends StateSpace {
  readonly k: Tensor;
}

const vector = (scope: Scope, name: string, { numKernels, stateSize }: CompanionConfig): Tensor =>
  scope.param(name, [numKernels, stateSize], normal(1));

/** Parameters `a`, `b`, `c`. */
export const stateSpace = (scope: Scope, config: CompanionConfig): StateSpace => ({
  a: vector(scope, "a", config),
  b: vector(scope, "b", config),
  c: vector(scope, "c", config),
});

/** Parameters `a`, `b`, `c`, `k`. */
export const closedStateSpace = (scope: Scope, config: CompanionConfig): ClosedStateSpace => ({
  ...stateSpace(scope, config),
  k: vector(scope, "k", config),
});

const swapTime = (x: Tensor): Tensor => transpose(x, [0, 2, 1]); // (B, L, C) <-> (B, C, L)

/** Kernels convolved with u [B, L, C], each repeated over C / K neighbouring channels: [B, L, C]. */
export function convolve(u: Tensor, kernels: Tensor): Tensor {
  const [count, length] = [staticDim(dimOf(kernels, 0), "Kernels"), dimOf(kernels, 1)];
  const channels = staticDim(dimOf(u, 2), "A state-space layer");
  const repeated = broadcastTo(reshape(kernels, [count, 1, length]), [count, channels / count, length]);
  return swapTime(causalConvolution(swapTime(u), reshape(repeated, [channels, length])));
}

/** Kernel of an encoder layer, [K, L]: only `a` is normalised (code). */
export function openKernel({ a, b, c }: StateSpace, length: number, order: NormOrder): Tensor {
  return companionKernel(length, normalised(a, order), b, c);
}

/** What a closed-loop layer gives: outputs, and predictions of its next inputs, [B, .., K] each. */
export interface LoopOutputs {
  readonly y: Tensor;
  readonly next: Tensor;
}

/**
 * The horizon from the look-back u [B, L, K]: the state after it (b as stored), then powers of A + b k^T (both normalised)
 * read by c (normalised) and k (as stored): [B, O, K]. A state is never formed per step: the powers act on what reads it.
 */
export function closedLoop(
  space: ClosedStateSpace,
  u: Tensor,
  horizon: number,
  order: NormOrder,
): LoopOutputs {
  const length = staticDim(dimOf(u, 1), "A look-back");
  const A = companionMatrix(normalised(space.a, order));
  const states = krylov(length, A, space.b, "first"); // (K, L, d)
  const state = matmul(transpose(u, [2, 0, 1]), states); // (K, B, d)
  const b = normalised(space.b, order);
  const k = order === 0 ? b : normalised(space.k, order); // code: without a norm, b takes k's place
  const loop = transpose(add(A, outer(b, k)), [0, 2, 1]);
  const read = (c: Tensor) => transpose(matmul(state, krylov(horizon, loop, c), false, true), [1, 2, 0]); // (K, B, O) -> (B, O, K)
  return { y: read(normalised(space.c, order)), next: read(space.k) };
}

/** The same layer over the look-back itself: u [B, L, K] -> outputs and predictions of the inputs one step on, [B, L, K]. */
export function openLoop(space: ClosedStateSpace, u: Tensor, order: NormOrder): LoopOutputs {
  const length = staticDim(dimOf(u, 1), "A look-back");
  const [a, b] = [normalised(space.a, order), normalised(space.b, order)];
  const through = (c: Tensor) => convolve(u, companionKernel(length, a, b, normalised(c, order)));
  return { y: through(space.c), next: through(space.k) };
}

/** y + skip u, one factor per channel. */
export const withSkip = (y: Tensor, u: Tensor, skip: Tensor): Tensor => add(y, mul(u, skip));

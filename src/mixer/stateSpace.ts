/**
 * State-space layers with companion matrices: open loop, a convolution over the look-back; closed loop, where the layer
 * feeds its own next inputs to itself and any horizon is a power of one matrix.
 * Source: SpaceTime (arXiv 2303.09489), `model/ssm/{companion,shift}.py`, `model/ssm/closed_loop` (code).
 * Shape letters: B batch, L look-back, O horizon, C channels, K kernels, d state size.
 */
import {
  companionKernel,
  companionMatrix,
  krylov,
  type NormOrder,
  normalised,
  outer,
  readout,
} from "../nn/companion.ts";
import { causalConvolution } from "../nn/fourier.ts";
import { type Initializer, normal, type Scope, zeros } from "../nn/scope.ts";
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

const firstState: Initializer = (_, [kernels = 0, size = 0]) =>
  Float32Array.from({ length: kernels * size }, (__, i) => (i % size === 0 ? 1 : 0));

/** A companion matrix without its column, whose input enters the first state: `a` and `b` are buffers, `c` is learned. */
export const shiftSpace = (scope: Scope, config: CompanionConfig): StateSpace => {
  const shape = [config.numKernels, config.stateSize];
  return {
    a: scope.param("a", shape, zeros),
    b: scope.param("b", shape, firstState),
    c: vector(scope, "c", config),
  };
};

/** With a learned `k`. */
export const closedShiftSpace = (scope: Scope, config: CompanionConfig): ClosedStateSpace => ({
  ...shiftSpace(scope, config),
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

/** What a closed-loop layer computes with, whatever its matrix is. */
export interface Loop {
  /** [K, d, d] */
  readonly A: Tensor;
  /** How an input enters: into the state, and in the loop; [K, d] each. */
  readonly stored: Tensor;
  readonly b: Tensor;
  /** What predicts the next input in the loop, [K, d]. */
  readonly k: Tensor;
  /** What reads outputs, and next inputs in closed and in open loop, [K, d] each. */
  readonly c: Tensor;
  readonly next: Tensor;
  readonly openNext: Tensor;
}

/** Companion matrices, vectors normalised as the official code does. */
export function companionLoop(space: ClosedStateSpace, order: NormOrder): Loop {
  const [b, k] = [normalised(space.b, order), normalised(space.k, order)];
  const stateSize = staticDim(dimOf(k, 1), "A companion matrix");
  return {
    A: companionMatrix(normalised(space.a, order)),
    ...{ stored: space.b, b, c: normalised(space.c, order), next: space.k },
    // code: without a norm, b takes k's place in the loop, and open loops divide k by its "norm of order 0", the count of its
    // non-zero numbers
    k: order === 0 ? b : k,
    openNext: order === 0 ? mul(k, 1 / stateSize) : k,
  };
}

/**
 * The horizon from the look-back u [B, L, K]: the state after it, then powers of A + b k^T read by c and next: [B, O, K]. A
 * state is never formed per step: the powers act on what reads it.
 */
export function closedLoop({ A, stored, b, k, c, next }: Loop, u: Tensor, horizon: number): LoopOutputs {
  const length = staticDim(dimOf(u, 1), "A look-back");
  const states = krylov(length, A, stored, "first"); // (K, L, d)
  const state = matmul(transpose(u, [2, 0, 1]), states); // (K, B, d)
  const loop = transpose(add(A, outer(b, k)), [0, 2, 1]);
  const read = (by: Tensor) => transpose(matmul(state, krylov(horizon, loop, by), false, true), [1, 2, 0]); // (K, B, O) -> (B, O, K)
  return { y: read(c), next: read(next) };
}

/** The same layer over the look-back itself: u [B, L, K] -> outputs and predictions of the inputs one step on, [B, L, K]. */
export function openLoop({ A, b, c, openNext }: Loop, u: Tensor): LoopOutputs {
  const length = staticDim(dimOf(u, 1), "A look-back");
  const states = krylov(length, A, b);
  const through = (by: Tensor) => convolve(u, readout(states, by));
  return { y: through(c), next: through(openNext) };
}

/** y + skip u, one factor per channel. */
export const withSkip = (y: Tensor, u: Tensor, skip: Tensor): Tensor => add(y, mul(u, skip));

/**
 * SpaceTime's fixed pre-filter: differencing of several orders and what moving averages leave, repeated over the channels.
 * Windows are drawn once and belong to the checkpoint. Source: `model/ssm/preprocess/residual.py` (code).
 * Shape letters: B batch, L length, C channels, R repeats.
 */
import { causalConvolution } from "../../nn/fourier.ts";
import type { Initializer, Scope } from "../../nn/scope.ts";
import {
  broadcastTo,
  concat,
  pad,
  reshape,
  slice,
  stopGradient,
  transpose,
} from "../../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../../tensor/tensor.ts";
import type { PrefilterConfig } from "./config.ts";

/** Binomial coefficients with alternating signs: differencing of order 0, 1, 2, ... */
export function differences(orders: number): number[][] {
  const rows: number[][] = [Array.from({ length: orders }, (_, i) => (i === 0 ? 1 : 0))];
  while (rows.length < orders) {
    const before = rows.at(-1) ?? [];
    rows.push(before.map((value, i) => value - (before[i - 1] ?? 0)));
  }
  return rows;
}

const differenceRows =
  ({ maxDiffOrder, repeats }: PrefilterConfig): Initializer =>
  () =>
    Float32Array.from(Array.from({ length: repeats }, () => differences(maxDiffOrder)).flat(2));

/** Per row: the value now minus the mean of the last w, w drawn. */
const averageRows =
  ({ minWindow, maxWindow }: PrefilterConfig): Initializer =>
  (stream, [rows = 0]) => {
    const kernels = new Float32Array(rows * maxWindow);
    for (let row = 0; row < rows; row++) {
      const window = minWindow + stream.integer(maxWindow - minWindow);
      kernels.fill(-1 / window, row * maxWindow, row * maxWindow + window);
      kernels[row * maxWindow] = 1 - 1 / window;
    }
    return kernels;
  };

/** True for the names of buffers, which are not trained. */
export const isBuffer = (name: string): boolean => name.includes(".pre.");

/** u [B, L, C] -> [B, L, C]; within a repeat the orders of differencing come first, each for `headDim` channels. */
export function prefilter(scope: Scope, u: Tensor, config: PrefilterConfig): Tensor {
  const { numKernels, repeats, maxDiffOrder, maxWindow, headDim = 1 } = config;
  const length = staticDim(dimOf(u, 1), "A pre-filter");
  const width = Math.min(length, Math.max(maxDiffOrder, maxWindow));
  const fitted = (name: string, rows: number, columns: number, init: Initializer) => {
    const buffer = stopGradient(scope.param(name, [repeats * rows, columns], init));
    const kept = slice(buffer, 1, 0, Math.min(columns, width));
    return reshape(pad(kept, 1, 0, Math.max(0, width - columns)), [repeats, rows, width]);
  };
  const orders = fitted("diff_kernel", maxDiffOrder, maxDiffOrder, differenceRows(config));
  const averages = fitted("ma_r_kernel", numKernels - maxDiffOrder, maxWindow, averageRows(config));
  const joint = reshape(concat([orders, averages], 1), [repeats * numKernels, 1, width]);
  const shared = headDim === 1 ? joint : broadcastTo(joint, [repeats * numKernels, headDim, width]);
  const kernels = reshape(shared, [repeats * numKernels * headDim, width]);
  return transpose(causalConvolution(transpose(u, [0, 2, 1]), kernels), [0, 2, 1]);
}

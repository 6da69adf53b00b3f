/**
 * SpaceTime's fixed pre-filters: differencing of several orders and what moving averages leave, repeated over the channels;
 * or one table of kernels. Windows are drawn once and belong to the checkpoint. Source: `model/ssm/preprocess` (code).
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
import type { KernelFilterConfig, PrefilterConfig } from "./config.ts";

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

/** True for the names of buffers of pre-filters, which are not trained. */
export const isFilter = (name: string): boolean => name.includes(".pre.");

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
  const others = numKernels - maxDiffOrder;
  const parts =
    others === 0 ? [orders] : [orders, fitted("ma_r_kernel", others, maxWindow, averageRows(config))];
  const joint = reshape(concat(parts, 1), [repeats * numKernels, 1, width]);
  const shared = headDim === 1 ? joint : broadcastTo(joint, [repeats * numKernels, headDim, width]);
  const kernels = reshape(shared, [repeats * numKernels * headDim, width]);
  return transpose(causalConvolution(transpose(u, [0, 2, 1]), kernels), [0, 2, 1]);
}

/** Rows of differencing of order 0, 1, ... in turn; or the series itself, in every row. */
const kernelRows =
  ({ method, numKernels, kernelLength, maxDiffOrder }: KernelFilterConfig): Initializer =>
  () => {
    const orders = differences(method === "differencing" ? maxDiffOrder : 1);
    const rows = Array.from({ length: numKernels }, (_, i) => orders[i % orders.length] ?? []);
    return Float32Array.from(
      rows.flatMap((row) => Array.from({ length: kernelLength }, (_, i) => row[i] ?? 0)),
    );
  };

/** Kernels of one table, in turn for C / (R K) neighbouring channels: u [B, L, C] -> [B, L, C]. */
function kernelFilter(scope: Scope, u: Tensor, config: KernelFilterConfig): Tensor {
  const { numKernels, repeats, kernelLength } = config;
  const length = staticDim(dimOf(u, 1), "A pre-filter");
  const channels = staticDim(dimOf(u, 2), "A pre-filter");
  const buffer = stopGradient(scope.param("kernel", [numKernels, kernelLength], kernelRows(config)));
  const width = Math.min(length, kernelLength);
  const each = channels / (repeats * numKernels);
  const row = reshape(slice(buffer, 1, 0, width), [1, numKernels, 1, width]);
  const kernels = reshape(broadcastTo(row, [repeats, numKernels, each, width]), [channels, width]);
  return transpose(causalConvolution(transpose(u, [0, 2, 1]), kernels), [0, 2, 1]);
}

/** Through the filter of a configuration, if there is one. */
export function prefiltered(
  scope: Scope,
  u: Tensor,
  config: PrefilterConfig | KernelFilterConfig | undefined,
): Tensor {
  if (config === undefined) return u;
  return "method" in config ? kernelFilter(scope, u, config) : prefilter(scope, u, config);
}

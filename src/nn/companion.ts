/**
 * Linear state spaces x' = A x + b u, y = c^T x whose A is a companion matrix: ones below the diagonal, `a` as last column.
 * Source: SpaceTime (arXiv 2303.09489), `model/functional/{krylov,companion_krylov}.py` (code).
 * Shape letters: K kernels, d state size, L length, F frequencies.
 */

import { invariant } from "../tensor/errors.ts";
import { abs, add, div, exp, less, log, mul, sqrt, square, sub, where } from "../tensor/ops/elementwise.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { mean } from "../tensor/ops/neural.ts";
import { concat, pad, reshape, slice, sum } from "../tensor/ops/structure.ts";
import { constant, dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import { type Complex, multiply, multiplyConjugate, RealTransform } from "./fourier.ts";

/** Order of the norm that vectors are divided by, a whole number; 0 leaves them as they are. */
export type NormOrder = number;

/** Norms of rows [K, d]: [K, 1]. */
function normOf(x: Tensor, order: NormOrder): Tensor {
  if (order === 1) return sum(abs(x), [-1], true);
  if (order === 2) return sqrt(sum(square(x), [-1], true));
  const size = abs(x);
  const power = Array.from({ length: order - 1 }).reduce<Tensor>((product) => mul(product, size), size);
  return exp(mul(log(sum(power, [-1], true)), 1 / order));
}

/** Rows of x [K, d] divided by their norm, unless the mean norm is below 1e-4 (code). */
export function normalised(x: Tensor, order: NormOrder): Tensor {
  if (order === 0) return x;
  const norm = normOf(x, order);
  return div(x, where(less(1e-4, mean(norm)), norm, 1));
}

/** [K, d] -> [K, d, d]. */
export function companionMatrix(a: Tensor): Tensor {
  const [kernels, size] = [dimOf(a, 0), staticDim(dimOf(a, 1), "A companion matrix")];
  const shift = new Float32Array(size * size);
  for (let i = 1; i < size; i++) shift[i * size + i - 1] = 1;
  const last = new Float32Array(size);
  last[size - 1] = 1;
  const column = mul(reshape(a, [kernels, size, 1]), constant(last, [1, size]));
  return add(column, constant(shift, [size, size]));
}

/** x^T y for rows [K, d] and [K, d]: [K, d, d]. */
export function outer(x: Tensor, y: Tensor): Tensor {
  const [kernels, size] = [dimOf(x, 0), dimOf(x, 1)];
  return mul(reshape(x, [kernels, size, 1]), reshape(y, [kernels, 1, size]));
}

/**
 * b, A b, A^2 b, ... as rows: A [K, d, d], b [K, d] -> [K, L, d], by repeated squaring. `newest` says where the highest
 * power stands; first is the order in which a window of inputs, oldest first, meets them.
 */
export function krylov(length: number, A: Tensor, b: Tensor, newest: "first" | "last" = "last"): Tensor {
  let rows = reshape(b, [dimOf(b, 0), 1, dimOf(b, 1)]);
  let power = A;
  for (let count = 1; count < length; count *= 2) {
    const wanted = Math.min(count, length - count);
    const base = newest === "last" ? slice(rows, 1, 0, wanted) : slice(rows, 1, count - wanted, count);
    const next = matmul(base, power, false, true); // rows times A^T
    rows = concat(newest === "last" ? [rows, next] : [next, rows], 1);
    if (2 * count < length) power = matmul(power, power);
  }
  return rows;
}

/** c^T x for rows of states: [K, L, d] and [K, d] -> [K, L]. */
export function readout(states: Tensor, c: Tensor): Tensor {
  const [kernels, length, size] = [dimOf(states, 0), dimOf(states, 1), dimOf(states, 2)];
  return reshape(matmul(states, reshape(c, [kernels, size, 1])), [kernels, length]);
}

/** c^T A^i b for i < L: [K, L], in O(d^2 L) by repeated squaring. What the official model uses. */
export function companionKernel(length: number, a: Tensor, b: Tensor, c: Tensor): Tensor {
  return readout(krylov(length, companionMatrix(a), b), c);
}

function matrixPower(A: Tensor, exponent: number): Tensor {
  invariant(Number.isInteger(exponent) && exponent >= 1, "A power of a matrix is whole, from 1 on.");
  let [result, power]: [Tensor | undefined, Tensor] = [undefined, A];
  for (let rest = exponent; ; power = matmul(power, power)) {
    if (rest % 2 === 1) result = result === undefined ? power : matmul(power, result);
    rest = Math.floor(rest / 2);
    if (rest === 0) return result as Tensor; // the highest bit is set
  }
}

/** c^T (I - A^L), what `fastCompanionKernel` needs; a model that learns it directly never forms A^L. */
export function truncated(length: number, a: Tensor, c: Tensor): Tensor {
  const [kernels, size] = [dimOf(c, 0), dimOf(c, 1)];
  const power = matrixPower(companionMatrix(a), length);
  return sub(c, reshape(matmul(reshape(c, [kernels, 1, size]), power), [kernels, size]));
}

function complexDivide(x: Complex, y: Complex): Complex {
  const size = add(square(y.re), square(y.im));
  const product = multiplyConjugate(x, y);
  return { re: div(product.re, size), im: div(product.im, size) };
}

/**
 * The same kernel from `truncated` c in O(d + L) up to logarithms: A is a shift plus a column, so that (I - zA)^-1 at the
 * roots of unity follows from four spectra (Woodbury). Kernels with poles near the unit circle are ill-conditioned in
 * float32. Source: SpaceTime, appendix on the fast algorithm; `companion_krylov` (code).
 */
export function fastCompanionKernel(length: number, a: Tensor, b: Tensor, truncatedC: Tensor): Tensor {
  const [kernels, size] = [dimOf(a, 0), staticDim(dimOf(a, 1), "A companion matrix")];
  const wide = new RealTransform(2 * size);
  const narrow = new RealTransform(length);
  const last = new Float32Array(size);
  last[size - 1] = 1;
  const lastRow = constant(last, [1, size]);
  const spectra = new Map([a, b, truncatedC, lastRow].map((x) => [x, wide.forward(x)]));
  /** Spectrum of the correlation of u and v, folded to the length. */
  const form = (u: Tensor, v: Tensor): Complex => {
    const product = multiplyConjugate(spectra.get(u) as Complex, spectra.get(v) as Complex); // all four are there
    const lags = wide.inverse(product, size); // (K, d)
    const folds = Math.ceil(size / length);
    const padded = reshape(pad(lags, -1, 0, folds * length - size), [kernels, folds, length]);
    return narrow.forward(sum(padded, [1]));
  };
  const angle = (k: number) => (2 * Math.PI * k) / length;
  const roots = (of: (angle: number) => number) =>
    constant(
      Float32Array.from({ length: narrow.frequencies }, (_, k) => of(angle(k))),
      [narrow.frequencies],
    );
  const [cb, ca, eb, ea] = [form(truncatedC, b), form(truncatedC, a), form(lastRow, b), form(lastRow, a)];
  const rest = { re: sub(roots(Math.cos), ea.re), im: sub(roots(Math.sin), ea.im) };
  const correction = complexDivide(multiply(ca, eb), rest);
  return narrow.inverse({ re: add(cb.re, correction.re), im: add(cb.im, correction.im) });
}

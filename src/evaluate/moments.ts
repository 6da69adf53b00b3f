/**
 * Mean and covariance in float64, in one pass over batches of any size, and factors L of a covariance C = L L^T. Sets of
 * 10,000 pictures never have to be in memory at once; batching changes nothing but the last bits.
 */
import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from "ml-matrix";
import { NextxError } from "../tensor/errors.ts";
import { type FeatureSet, requireFeatures } from "./featureSet.ts";

/** Unbiased mean and covariance (divided by n - 1) of a set. */
export interface Moments {
  readonly count: number;
  readonly dims: number;
  readonly mean: Float64Array;
  /** dims * dims, symmetric. */
  readonly covariance: Float64Array;
}

/**
 * Running mean and scatter. A batch's own two-pass moments are merged into the total.
 * Source: Chan, Golub, LeVeque 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", (1.5).
 */
export class MomentAccumulator {
  readonly dims: number;
  #count = 0;
  readonly #mean: Float64Array;
  /** Upper triangle of the sum of (x - mean)(x - mean)^T. */
  readonly #scatter: Float64Array;

  constructor(dims: number) {
    this.dims = dims;
    this.#mean = new Float64Array(dims);
    this.#scatter = new Float64Array(dims * dims);
  }

  get count(): number {
    return this.#count;
  }

  /** Adds rows. @throws NextxError METRIC_DIMS_DIFFER, METRIC_BAD_SHAPE, METRIC_NOT_FINITE */
  add(features: FeatureSet): void {
    requireFeatures(features, 0, "features");
    const { dims } = this;
    if (features.dims !== dims)
      throw new NextxError(
        "METRIC_DIMS_DIFFER",
        `Expected ${dims} features per picture, got ${features.dims}.`,
      );
    if (features.count === 0) return;
    const mean = meanOf(features);
    const row = new Float64Array(dims);
    for (let i = 0; i < features.count; i++) {
      for (let k = 0; k < dims; k++) row[k] = (features.data[i * dims + k] as number) - (mean[k] as number); // in range
      this.#addOuter(row, 1);
    }
    const total = this.#count + features.count;
    for (let k = 0; k < dims; k++) row[k] = (mean[k] as number) - (this.#mean[k] as number); // in range
    this.#addOuter(row, (this.#count * features.count) / total);
    for (let k = 0; k < dims; k++)
      this.#mean[k] = (this.#mean[k] as number) + ((row[k] as number) * features.count) / total;
    this.#count = total;
  }

  /** scatter += weight row row^T, upper triangle. */
  #addOuter(row: Float64Array, weight: number): void {
    const { dims } = this;
    const scatter = this.#scatter;
    for (let i = 0; i < dims; i++) {
      const factor = weight * (row[i] as number); // i and k in range
      if (factor === 0) continue;
      const start = i * dims;
      for (let k = i; k < dims; k++)
        scatter[start + k] = (scatter[start + k] as number) + factor * (row[k] as number);
    }
  }

  /** @throws NextxError METRIC_TOO_FEW_SAMPLES below two rows */
  moments(): Moments {
    const { dims, count } = this;
    if (count < 2)
      throw new NextxError("METRIC_TOO_FEW_SAMPLES", `A covariance needs 2 samples, got ${count}.`);
    const covariance = new Float64Array(dims * dims);
    for (let i = 0; i < dims; i++) {
      for (let k = i; k < dims; k++) {
        const value = (this.#scatter[i * dims + k] as number) / (count - 1); // in range
        covariance[i * dims + k] = value;
        covariance[k * dims + i] = value;
      }
    }
    return { count, dims, mean: this.#mean.slice(), covariance };
  }
}

function meanOf({ data, count, dims }: FeatureSet): Float64Array {
  const mean = new Float64Array(dims);
  for (let i = 0; i < data.length; i++) mean[i % dims] = (mean[i % dims] as number) + (data[i] as number); // in range
  return mean.map((sum) => sum / count);
}

/** Moments of a set in memory. @throws NextxError METRIC_ codes */
export function momentsOf(features: FeatureSet): Moments {
  const accumulator = new MomentAccumulator(features.dims);
  accumulator.add(features);
  return accumulator.moments();
}

/**
 * L (dims x r) with C = L L^T: Cholesky where C is positive definite, else the eigenvectors of the eigenvalues above
 * rounding, each times the root of its eigenvalue.
 */
export function covarianceFactor({ covariance, dims }: Moments): Matrix {
  const matrix = Matrix.from1DArray(dims, dims, covariance);
  const cholesky = new CholeskyDecomposition(matrix);
  if (cholesky.isPositiveDefinite()) return cholesky.lowerTriangularMatrix;
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const floor = Math.max(...realEigenvalues, 0) * dims * Number.EPSILON;
  const kept = realEigenvalues.flatMap((value, i) => (value > floor ? [i] : []));
  if (kept.length === 0) return Matrix.zeros(dims, 1);
  const roots = kept.map((i) => Math.sqrt(realEigenvalues[i] as number)); // positive
  return eigenvectorMatrix.subMatrixColumn(kept).mulRowVector(roots);
}

/** L (dims x count) with C = L L^T for fewer samples than dims: the centred samples over sqrt(count - 1). */
export function sampleFactor(features: FeatureSet): { readonly mean: Float64Array; readonly factor: Matrix } {
  const { data, count, dims } = features;
  const mean = meanOf(features);
  const scale = 1 / Math.sqrt(count - 1);
  const factor = Matrix.zeros(dims, count);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < dims; k++)
      factor.set(k, i, ((data[i * dims + k] as number) - (mean[k] as number)) * scale); // in range
  }
  return { mean, factor };
}

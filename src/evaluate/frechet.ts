/**
 * Fréchet distance between the Gaussians of two feature sets, in float64, with its bias and error at the given number of
 * samples. Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", eq. 6; Dowson and Landau 1982.
 */
import { EigenvalueDecomposition, type Matrix } from "ml-matrix";
import { NextxError } from "../tensor/errors.ts";
import { RandomStream } from "../tensor/random.ts";
import { type FeatureSet, requirePair, takeRows } from "./featureSet.ts";
import { covarianceFactor, type Moments, momentsOf, sampleFactor } from "./moments.ts";

/** |m1 - m2|^2 and tr(C1 + C2 - 2 (C1 C2)^(1/2)); the distance is their sum (not its root). */
export interface FrechetDistance {
  readonly distance: number;
  readonly meanTerm: number;
  readonly covarianceTerm: number;
}

/** A distance with what its number of samples does to it. */
export interface FrechetEstimate extends FrechetDistance {
  /** Samples on each side. */
  readonly realCount: number;
  readonly generatedCount: number;
  /** How much too large the distance is expected to be at this number of samples. */
  readonly bias: number;
  /** Standard error of the distance from drawing these samples and no others. */
  readonly standardError: number;
  /** distance - bias: the value for infinitely many samples, to first order in 1 / N; may be below 0. */
  readonly extrapolated: number;
  /** How bias and error were estimated. */
  readonly method: string;
}

/** A Gaussian by its mean, the trace of its covariance and a factor L (dims x r), C = L L^T. */
interface Gaussian {
  readonly mean: Float64Array;
  readonly trace: number;
  readonly factor: Matrix;
}

function trace({ covariance, dims }: Moments): number {
  let total = 0;
  for (let i = 0; i < dims; i++) total += covariance[i * dims + i] as number; // in range
  return total;
}

function ofMoments(moments: Moments): Gaussian {
  return { mean: moments.mean, trace: trace(moments), factor: covarianceFactor(moments) };
}

/** Fewer samples than dims: the samples are the factor, and no dims x dims matrix is made. */
function ofFeatures(features: FeatureSet): Gaussian {
  if (features.count > features.dims) return ofMoments(momentsOf(features));
  const { mean, factor } = sampleFactor(features);
  return { mean, factor, trace: sumOfSquares(factor) };
}

function sumOfSquares(matrix: Matrix): number {
  let total = 0;
  for (let i = 0; i < matrix.rows; i++) {
    for (let k = 0; k < matrix.columns; k++) total += matrix.get(i, k) ** 2;
  }
  return total;
}

/**
 * tr (C1 C2)^(1/2) for C1 = A A^T and C2 = B B^T: the eigenvalues of C1 C2 are the squared singular values of A^T B, which
 * a symmetric eigenproblem of the smaller rank gives. Each lost eigenvalue costs about 1e-8 of the largest.
 */
function traceOfRoot(a: Matrix, b: Matrix): number {
  const product = a.transpose().mmul(b); // (rank a, rank b)
  const square =
    product.rows <= product.columns ? product.mmul(product.transpose()) : product.transpose().mmul(product);
  const { realEigenvalues } = new EigenvalueDecomposition(square, { assumeSymmetric: true });
  return realEigenvalues.reduce((total, value) => total + Math.sqrt(Math.max(value, 0)), 0);
}

function between(a: Gaussian, b: Gaussian): FrechetDistance {
  let meanTerm = 0;
  for (let i = 0; i < a.mean.length; i++) meanTerm += ((a.mean[i] as number) - (b.mean[i] as number)) ** 2; // same length
  const covarianceTerm = Math.max(0, a.trace + b.trace - 2 * traceOfRoot(a.factor, b.factor));
  return { distance: meanTerm + covarianceTerm, meanTerm, covarianceTerm };
}

/**
 * Between two Gaussians given by their moments. @throws NextxError METRIC_DIMS_DIFFER, METRIC_NOT_FINITE
 */
export function frechetOfMoments(real: Moments, generated: Moments): FrechetDistance {
  if (real.dims !== generated.dims)
    throw new NextxError("METRIC_DIMS_DIFFER", `The sets have ${real.dims} and ${generated.dims} features.`);
  for (const { mean, covariance } of [real, generated]) {
    if (![mean, covariance].every((data) => data.every(Number.isFinite)))
      throw new NextxError("METRIC_NOT_FINITE", "Mean and covariance must be finite numbers.");
  }
  return between(ofMoments(real), ofMoments(generated));
}

/**
 * Between two sets. @throws NextxError METRIC_TOO_FEW_SAMPLES (below 2), METRIC_DIMS_DIFFER, METRIC_NOT_FINITE,
 * METRIC_BAD_SHAPE
 */
export function frechetDistance(real: FeatureSet, generated: FeatureSet): FrechetDistance {
  requirePair(real, generated, 2);
  return between(ofFeatures(real), ofFeatures(generated));
}

/** Random groups of about equal size; the same for the same number of rows. */
function groupsOf(count: number, groups: number, name: string): Uint32Array[] {
  const order = RandomStream.from(0, `evaluate/jackknife/${name}`).permutation(count);
  return Array.from({ length: groups }, (_, g) => order.filter((_, i) => i % groups === g));
}

/**
 * Distance, bias and error by the delete-one-group jackknife: g random groups of both sets are left out in turn, and
 * bias = (g - 1)(mean of the distances without a group - distance), variance = (g - 1) / g * sum (d_i - mean)^2. The
 * bias of this distance falls as 1 / N, which is what the jackknife removes. With fewer than about ten samples per
 * feature the 1 / N law is only a lower bound of the bias: compare numbers of equal N. Sets whose rows belong together
 * (a picture and its round trip) are `paired`: the same rows of both are left out, or what they share would count as error.
 * Source: Quenouille 1956; Efron and Stein 1981, "The jackknife estimate of variance"; the 1 / N law: Chong and Forsyth
 * 2020, "Effectively Unbiased FID and Inception Score", section 3.
 * @throws NextxError METRIC_TOO_FEW_SAMPLES (below 3 per group), METRIC_BAD_GROUPS, METRIC_NOT_PAIRED and the codes of frechetDistance
 */
export function frechetEstimate(
  real: FeatureSet,
  generated: FeatureSet,
  { groups = 4, paired = false }: { readonly groups?: number; readonly paired?: boolean } = {},
): FrechetEstimate {
  if (!(Number.isInteger(groups) && groups >= 2 && groups <= 100))
    throw new NextxError("METRIC_BAD_GROUPS", `The jackknife takes 2 to 100 groups, got ${groups}.`, {
      path: "groups",
    });
  requirePair(real, generated, 3 * groups);
  if (paired && real.count !== generated.count)
    throw new NextxError(
      "METRIC_NOT_PAIRED",
      `${real.count} rows cannot be paired with ${generated.count}.`,
      {
        path: "generated",
      },
    );
  const whole = between(ofFeatures(real), ofFeatures(generated));
  const left = [
    groupsOf(real.count, groups, "real"),
    groupsOf(generated.count, groups, paired ? "real" : "generated"),
  ] as const;
  const without = (set: FeatureSet, parts: readonly Uint32Array[], out: number): Gaussian =>
    ofFeatures(
      takeRows(
        set,
        parts.flatMap((part, g) => (g === out ? [] : [...part])),
      ),
    );
  const distances = Array.from(
    { length: groups },
    (_, g) => between(without(real, left[0], g), without(generated, left[1], g)).distance,
  );
  const mean = distances.reduce((a, b) => a + b, 0) / groups;
  const spread = distances.reduce((total, d) => total + (d - mean) ** 2, 0);
  const bias = (groups - 1) * (mean - whole.distance);
  return {
    ...whole,
    realCount: real.count,
    generatedCount: generated.count,
    bias,
    standardError: Math.sqrt(((groups - 1) / groups) * spread),
    extrapolated: whole.distance - bias,
    method: `jackknife over ${groups} groups`,
  };
}

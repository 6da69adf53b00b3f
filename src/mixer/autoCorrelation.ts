/**
 * Auto-correlation in the place of attention: queries and keys are correlated over time, the best few lags are chosen,
 * and values are rolled by these lags and mixed. Everything is a product of spectra: the correlation, and the mixing too,
 * because sum_i w_i v[t + lag_i] correlates the values with the weights of the lags.
 * Source: Autoformer `layers/AutoCorrelation.py` (code); no scale, no mask, no dropout.
 * Shape letters: B batch, L query steps, S key steps, H heads, E head width, F frequencies.
 */
import { type Complex, multiplyConjugate, RealTransform } from "../nn/fourier.ts";
import { largestMask } from "../nn/largest.ts";
import { equal, where } from "../tensor/ops/elementwise.ts";
import { mean, softmax } from "../tensor/ops/neural.ts";
import { pad, slice, transpose } from "../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import type { HeadMixer } from "./headMixer.ts";

/** Correlations of every head and channel, as a spectrum [B, H, E, F]. */
export interface Correlation {
  readonly spectrum: Complex;
  readonly transform: RealTransform;
}

/** The weight of every lag, broadcastable over [B, H, E, L]; zero for all but `count` lags. */
export type LagWeights = (correlation: Correlation, count: number) => Tensor;

const hidden = -1e9;

/** Softmax over the lags that a mask chooses. */
const chosenSoftmax = (scores: Tensor, mask: Tensor): Tensor =>
  softmax(where(equal(mask, 1), scores, hidden));

/** Correlations averaged over heads and channels: [B, 1, 1, L]. */
function averaged({ spectrum, transform }: Correlation): Tensor {
  const over = (part: Tensor) => mean(part, [1, 2], true);
  return transform.inverse({ re: over(spectrum.re), im: over(spectrum.im) });
}

/** Lags of each sample's own: what inference uses. */
export const ownLags: LagWeights = (correlation, count) => {
  const scores = averaged(correlation);
  return chosenSoftmax(scores, largestMask(scores, count));
};

/** One list of lags for the whole batch, weighted by each sample: what training uses. */
export const sharedLags: LagWeights = (correlation, count) => {
  const scores = averaged(correlation);
  return chosenSoftmax(scores, largestMask(mean(scores, [0], true), count));
};

/** Lags of each head and channel; in the official code, never used there. */
export const channelLags: LagWeights = ({ spectrum, transform }, count) => {
  const scores = transform.inverse(spectrum);
  return chosenSoftmax(scores, largestMask(scores, count));
};

/** How many lags are kept: floor(factor ln L). */
export const lagCount = (factor: number, length: number): number =>
  Math.max(1, Math.floor(factor * Math.log(length)));

const timeLast = (x: Tensor): Tensor => transpose(x, [0, 2, 3, 1]); // (B, L, H, E) -> (B, H, E, L)

/** Rows beyond `length` dropped, zero rows behind a shorter series. */
function fitLength(x: Tensor, length: number): Tensor {
  const own = staticDim(dimOf(x, 1), "Auto-correlation");
  return own >= length ? slice(x, 1, 0, length) : pad(x, 1, 0, length - own);
}

/** Correlation of queries [B, L, H, E] with keys [B, S, H, E], lags 0 to L - 1. */
export function correlate(queries: Tensor, keys: Tensor): Correlation {
  const length = staticDim(dimOf(queries, 1), "Auto-correlation");
  const transform = new RealTransform(length);
  const spectrum = multiplyConjugate(
    transform.forward(timeLast(queries)),
    transform.forward(timeLast(fitLength(keys, length))),
  );
  return { spectrum, transform };
}

/** out[t] = sum over lags of weight x v[(t + lag) mod L]: values [B, S, H, E], weights of lags -> [B, L, H, E]. */
export function mixLags(values: Tensor, weights: Tensor, transform: RealTransform): Tensor {
  const rows = timeLast(fitLength(values, transform.length));
  const mixed = transform.inverse(multiplyConjugate(transform.forward(rows), transform.forward(weights)));
  return transpose(mixed, [0, 3, 1, 2]); // (B, L, H, E)
}

/** Auto-correlation as a mixer of heads. */
export const autoCorrelation =
  (factor: number, lagWeights: LagWeights): HeadMixer =>
  (queries, keys, values) => {
    const correlation = correlate(queries, keys);
    const { transform } = correlation;
    return mixLags(values, lagWeights(correlation, lagCount(factor, transform.length)), transform);
  };

/**
 * Numbers about sets of pictures from features and class probabilities: inception-style score, accuracy of samples, mean
 * feature distance, rule validity. All in float64; NaN and too few samples are refused.
 */
import type { ImageSet } from "../data/types.ts";
import { NextxError } from "../tensor/errors.ts";
import { RandomStream } from "../tensor/random.ts";
import { type FeatureSet, requireFeatures, requirePair } from "./featureSet.ts";

/** A mean over splits or groups with its spread. */
export interface Scored {
  readonly mean: number;
  /** Standard deviation over the splits (divided by their number, as the source does). */
  readonly deviation: number;
  readonly splits: number;
}

/** Softmax of rows of logits, shifted by the largest. @throws NextxError METRIC_ codes */
export function probabilitiesOf(logits: FeatureSet): FeatureSet {
  requireFeatures(logits, 0, "logits");
  const { count, dims } = logits;
  const data = Float64Array.from(logits.data);
  for (let i = 0; i < count; i++) {
    const row = data.subarray(i * dims, (i + 1) * dims);
    const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let total = 0;
    for (let k = 0; k < dims; k++) {
      row[k] = Math.exp((row[k] as number) - top); // in range
      total += row[k] as number;
    }
    for (let k = 0; k < dims; k++) row[k] = (row[k] as number) / total;
  }
  return { data, count, dims };
}

/** exp of the mean KL divergence between rows and their mean; 0 log 0 is 0. */
function scoreOf({ data, dims }: FeatureSet, rows: ArrayLike<number>): number {
  const mean = new Float64Array(dims);
  let entropyTerm = 0;
  for (let i = 0; i < rows.length; i++) {
    for (let k = 0; k < dims; k++) {
      const p = data[(rows[i] as number) * dims + k] as number; // in range
      mean[k] = (mean[k] as number) + p / rows.length;
      if (p > 0) entropyTerm += (p * Math.log(p)) / rows.length;
    }
  }
  const marginal = mean.reduce((total, p) => (p > 0 ? total + p * Math.log(p) : total), 0);
  return Math.exp(entropyTerm - marginal);
}

/**
 * Inception-style score exp(E KL(p(y | x) || p(y))) of class probabilities (rows that sum to 1), over random splits; from 1
 * to the number of classes. Which classifier gave the probabilities must stand beside it.
 * Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 4.
 * @throws NextxError METRIC_TOO_FEW_SAMPLES (one per split), METRIC_BAD_PROBABILITIES, METRIC_BAD_SPLITS
 */
export function classifierScore(
  probabilities: FeatureSet,
  { splits = 10 }: { readonly splits?: number } = {},
): Scored {
  if (!(Number.isInteger(splits) && splits >= 1))
    throw new NextxError("METRIC_BAD_SPLITS", `Splits are 1 or more, got ${splits}.`, { path: "splits" });
  requireFeatures(probabilities, splits, "probabilities");
  const { data, count, dims } = probabilities;
  for (let i = 0; i < count; i++) {
    let [total, least] = [0, 0];
    for (let k = i * dims; k < (i + 1) * dims; k++) {
      total += data[k] as number; // in range
      least = Math.min(least, data[k] as number);
    }
    if (Math.abs(total - 1) > 1e-3 || least < 0)
      throw new NextxError("METRIC_BAD_PROBABILITIES", `Row ${i} is no distribution: its sum is ${total}.`, {
        path: "probabilities",
      });
  }
  const order = RandomStream.from(0, "evaluate/splits").permutation(count);
  const scores = Array.from({ length: splits }, (_, s) =>
    scoreOf(
      probabilities,
      order.filter((_, i) => i % splits === s),
    ),
  );
  const mean = scores.reduce((a, b) => a + b, 0) / splits;
  const variance = scores.reduce((total, score) => total + (score - mean) ** 2, 0) / splits;
  return { mean, deviation: Math.sqrt(variance), splits };
}

/** A rate with the binomial standard error sqrt(p (1 - p) / n). */
export interface Rate {
  readonly rate: number;
  readonly standardError: number;
  readonly count: number;
}

function rateOf(hits: number, count: number): Rate {
  if (count < 1) throw new NextxError("METRIC_TOO_FEW_SAMPLES", "A rate needs at least one sample.");
  const rate = hits / count;
  return { rate, standardError: Math.sqrt((rate * (1 - rate)) / count), count };
}

/**
 * Share of samples that a classifier gives the class they were asked to be (largest logit; the first of equals).
 * Source: Ravuri and Vinyals 2019, "Classification Accuracy Score", section 3, with the roles turned: a classifier trained
 * on real pictures, tested on samples.
 * @throws NextxError METRIC_BAD_SHAPE, METRIC_TOO_FEW_SAMPLES, METRIC_NOT_FINITE, METRIC_BAD_LABEL
 */
export function sampleAccuracy(logits: FeatureSet, labels: ArrayLike<number>): Rate {
  requireFeatures(logits, 1, "logits");
  const { data, count, dims } = logits;
  if (labels.length !== count)
    throw new NextxError("METRIC_BAD_SHAPE", `${labels.length} labels for ${count} samples.`, {
      path: "labels",
    });
  let hits = 0;
  for (let i = 0; i < count; i++) {
    const label = labels[i] as number; // as many as samples
    if (!(Number.isInteger(label) && label >= 0 && label < dims))
      throw new NextxError("METRIC_BAD_LABEL", `Classes are 0 to ${dims - 1}, got ${label}.`, {
        path: "labels",
      });
    let best = 0;
    for (let k = 1; k < dims; k++)
      if ((data[i * dims + k] as number) > (data[i * dims + best] as number)) best = k;
    if (best === label) hits++;
  }
  return rateOf(hits, count);
}

/**
 * Share of pictures (n * size * size * 3 bytes) that obey their class's rules; undefined for sets without rules.
 * @throws NextxError METRIC_BAD_SHAPE, METRIC_TOO_FEW_SAMPLES
 */
export function ruleValidity(
  set: Pick<ImageSet, "follows" | "size">,
  pixels: Uint8Array,
  labels: ArrayLike<number>,
): Rate | undefined {
  if (set.follows === undefined) return undefined;
  const length = set.size * set.size * 3;
  if (pixels.length !== labels.length * length)
    throw new NextxError("METRIC_BAD_SHAPE", `${pixels.length} bytes are not ${labels.length} pictures.`, {
      path: "pixels",
    });
  let hits = 0;
  for (let i = 0; i < labels.length; i++)
    if (set.follows(pixels.subarray(i * length, (i + 1) * length), labels[i] as number)) hits++; // in range
  return rateOf(hits, labels.length);
}

/**
 * Mean Euclidean distance between features of pictures that belong together, row by row (a picture and its
 * reconstruction). Source: Johnson et al. 2016, "Perceptual Losses", eq. 1, without the square.
 * @throws NextxError METRIC_ codes
 */
export function meanFeatureDistance(real: FeatureSet, generated: FeatureSet): number {
  requirePair(real, generated, 1);
  if (real.count !== generated.count)
    throw new NextxError("METRIC_BAD_SHAPE", `${real.count} pictures against ${generated.count}.`, {
      path: "generated",
    });
  const { dims, count } = real;
  let total = 0;
  for (let i = 0; i < count; i++) {
    let square = 0;
    for (let k = i * dims; k < (i + 1) * dims; k++)
      square += ((real.data[k] as number) - (generated.data[k] as number)) ** 2; // same shape
    total += Math.sqrt(square);
  }
  return total / count;
}

/**
 * Generated pictures against held-out ones: every metric under every extractor, each with its number of samples, the
 * extractor's hash and the expected error. Where pictures come from is not known here.
 */
import type { ImageSet } from "../data/types.ts";
import { RandomStream } from "../tensor/random.ts";
import type { FeatureExtractor, Pictures } from "./features/types.ts";
import { type FrechetEstimate, frechetEstimate } from "./frechet.ts";
import {
  classifierScore,
  meanFeatureDistance,
  probabilitiesOf,
  type Rate,
  ruleValidity,
  type Scored,
  sampleAccuracy,
} from "./metrics.ts";
import { type PrecisionRecall, precisionRecall } from "./neighbours.ts";
import { type RoundTripQuality, roundTripQuality } from "./pictureQuality.ts";

/** Pictures with the class each shows or was asked to show. */
export interface LabelledPictures extends Pictures {
  readonly labels: Int32Array;
}

/** Pictures that are compared, all of one size. */
export interface Compared {
  readonly real: LabelledPictures;
  readonly generated: LabelledPictures;
  /** The real ones after a round trip through a model's tokenizer, in the same order. */
  readonly reconstructed?: Pictures;
}

/** What one extractor says. */
export interface FeatureReport {
  readonly name: string;
  readonly sha256: string;
  readonly dims: number;
  readonly inputSize: number;
  readonly frechet: FrechetEstimate;
  /** True when there are fewer than ten samples per feature: compare only with numbers of the same N. */
  readonly fewSamples: boolean;
  readonly precisionRecall: PrecisionRecall;
  /** Inception-style scores, for extractors that classify. */
  readonly score?: { readonly generated: Scored; readonly real: Scored };
  /** Round trips against their originals: Fréchet distance, and mean distance of features pair by pair. */
  readonly reconstruction?: { readonly frechet: FrechetEstimate; readonly featureDistance: number };
  /** Share given the right class, for extractors that know the set's classes. */
  readonly accuracy?: { readonly generated: Rate; readonly real: Rate };
}

export interface PicturesReport {
  /** Samples on each side. */
  readonly count: number;
  readonly features: readonly FeatureReport[];
  /** Share of generated pictures that obey their class's rules, where the set has any. */
  readonly validity?: Rate;
  /** Round trips against their originals, in pixels; validity as above. */
  readonly reconstruction?: RoundTripQuality & { readonly validity?: Rate };
}

/** `count` pictures of a split, drawn without repetition; the same for the same set and count. */
export function drawPictures(set: ImageSet, count: number): LabelledPictures {
  const taken = Math.min(count, set.length);
  const order = RandomStream.from(0, "evaluate/reference").permutation(set.length);
  const length = set.size * set.size * 3;
  const pixels = new Uint8Array(taken * length);
  const labels = new Int32Array(taken);
  for (let i = 0; i < taken; i++) {
    const picture = set.get(order[i] as number); // a permutation of the set
    pixels.set(picture.pixels, i * length);
    labels[i] = picture.label;
  }
  return { pixels, labels, count: taken, size: set.size };
}

const sameNames = (a: readonly string[] | undefined, b: readonly string[]): boolean =>
  a !== undefined && a.length === b.length && a.every((name, i) => name === b[i]);

/** One extractor's report. @throws NextxError METRIC_ codes, ABORTED */
export async function reportFeatures(
  extractor: FeatureExtractor,
  { real, generated, reconstructed }: Compared,
  { classNames, signal }: { readonly classNames: readonly string[]; readonly signal?: AbortSignal },
): Promise<FeatureReport> {
  const { name, sha256, dims, inputSize } = extractor;
  const [r, g] = [await extractor.extract(real, signal), await extractor.extract(generated, signal)];
  const back = reconstructed && (await extractor.features(reconstructed, signal));
  const logits = r.logits && g.logits && { real: r.logits, generated: g.logits };
  const splits = Math.min(10, real.count, generated.count);
  const isOfSet = sameNames(extractor.classNames, classNames);
  return {
    name,
    sha256,
    dims,
    inputSize,
    frechet: frechetEstimate(r.features, g.features),
    fewSamples: Math.min(real.count, generated.count) < 10 * dims,
    precisionRecall: precisionRecall(r.features, g.features),
    ...(back && {
      reconstruction: {
        frechet: frechetEstimate(r.features, back, { paired: true }),
        featureDistance: meanFeatureDistance(r.features, back),
      },
    }),
    ...(logits && {
      score: {
        generated: classifierScore(probabilitiesOf(logits.generated), { splits }),
        real: classifierScore(probabilitiesOf(logits.real), { splits }),
      },
    }),
    ...(logits &&
      isOfSet && {
        accuracy: {
          generated: sampleAccuracy(logits.generated, generated.labels),
          real: sampleAccuracy(logits.real, real.labels),
        },
      }),
  };
}

/** Every report. @throws NextxError METRIC_ codes, ABORTED */
export async function evaluatePictures(
  extractors: readonly FeatureExtractor[],
  set: ImageSet,
  compared: Compared,
  {
    signal,
    onProgress,
  }: { readonly signal?: AbortSignal; readonly onProgress?: (text: string) => void } = {},
): Promise<PicturesReport> {
  const { real, generated, reconstructed } = compared;
  const features: FeatureReport[] = [];
  for (const extractor of extractors) {
    onProgress?.(`${extractor.name}: ${real.count} + ${generated.count} pictures`);
    const options = { classNames: set.classNames, ...(signal && { signal }) };
    features.push(await reportFeatures(extractor, compared, options));
  }
  const validity = ruleValidity(set, generated.pixels, generated.labels);
  return {
    count: generated.count,
    features,
    ...(validity && { validity }),
    ...(reconstructed && { reconstruction: reportRoundTrip(set, real, reconstructed) }),
  };
}

function reportRoundTrip(
  set: ImageSet,
  real: LabelledPictures,
  { pixels }: Pictures,
): RoundTripQuality & { readonly validity?: Rate } {
  const validity = ruleValidity(set, pixels, real.labels);
  return { ...roundTripQuality(real.pixels, pixels, set.size), ...(validity && { validity }) };
}

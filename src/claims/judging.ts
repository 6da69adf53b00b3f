/** Judging samples against held-out pictures under the feature networks of a claim, with the same numbers for every model. */

import type { ImageSet } from "../data/types.ts";
import type { FeatureNetworks } from "../evaluate/claim/claim.ts";
import { drawPictures, type LabelledPictures } from "../evaluate/evaluatePictures.ts";
import { type FeatureSet, takeRows } from "../evaluate/featureSet.ts";
import type { Extracted, FeatureExtractor } from "../evaluate/features/types.ts";
import { frechetDistance, frechetEstimate } from "../evaluate/frechet.ts";
import { ruleValidity, sampleAccuracy } from "../evaluate/metrics.ts";
import type { SampleEvent, SampleRequest } from "../regimen/system.ts";

/** What samples, whatever it is. */
export interface Sampler {
  sample(request: SampleRequest): AsyncGenerator<SampleEvent>;
}

/** One sampling: the first `count` classes of the held-out pictures, noise by seed. */
export interface Sampling {
  readonly count: number;
  readonly seed: number;
  /** Sampling settings of the model. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

/** Distances over this many first pictures stand beside the full ones, so that a check is quick. */
export const quickCount = 1_000;

/** Held-out pictures, as every network sees them; read once. */
export class Judge {
  readonly #open: () => Promise<ImageSet>;
  readonly #networks: FeatureNetworks;
  readonly #count: number;
  #real: Promise<{ set: ImageSet; pictures: LabelledPictures; features: readonly FeatureSet[] }> | undefined;

  /** `open` opens the held-out split. */
  constructor(open: () => Promise<ImageSet>, networks: FeatureNetworks, count: number) {
    this.#open = open;
    this.#networks = networks;
    this.#count = count;
  }

  /** Held-out pictures, their set and their features. @throws NextxError CLAIM_NO_FEATURES, DATA_ codes */
  real() {
    this.#real ??= this.#read();
    return this.#real;
  }

  async #read() {
    const set = await this.#open();
    const pictures = drawPictures(set, this.#count);
    const features: FeatureSet[] = [];
    for (const network of await this.#networks.open()) features.push(await network.features(pictures));
    return { set, pictures, features };
  }

  /** Pictures of a sampler with the classes of the held-out ones. */
  async samples(model: Sampler, { count, seed, options, signal }: Sampling): Promise<LabelledPictures> {
    const { pictures } = await this.real();
    const labels = pictures.labels.subarray(0, count);
    const request = { labels: [...labels], seed, options, previews: false, ...(signal && { signal }) };
    let pixels = new Uint8Array(0);
    for await (const event of model.sample(request)) pixels = Uint8Array.from(event.pixels);
    return { pixels, labels, count: labels.length, size: pictures.size };
  }

  /** Distance under each network, without error. */
  async distances(samples: LabelledPictures, signal?: AbortSignal): Promise<number[]> {
    return (await this.#extract(samples, signal)).map(({ real, out }) => {
      const rows = { length: Math.min(out.features.count, real.count) };
      return frechetDistance(
        takeRows(
          real,
          Array.from(rows, (_, i) => i),
        ),
        out.features,
      ).distance;
    });
  }

  /** Distances of samples at every guidance weight: `[i][k]` under network i at `grid[k]`. */
  async guidanceTables(
    model: Sampler,
    grid: readonly number[],
    { options, ...sampling }: Sampling,
    note: (text: string) => void,
  ): Promise<number[][]> {
    const tables: number[][] = [];
    for (const cfgScale of grid) {
      note(`${sampling.count} samples at guidance ${cfgScale}`);
      const samples = await this.samples(model, { ...sampling, options: { ...options, cfgScale } });
      for (const [i, distance] of (await this.distances(samples, sampling.signal)).entries()) {
        tables[i] ??= [];
        tables[i].push(distance);
      }
    }
    return tables;
  }

  /**
   * Everything about samples, names ending in `suffix`: distance, standard error and bias under network i, the distance of
   * the first thousand, accuracy by our classifier, share that keeps the set's rules.
   */
  async report(samples: LabelledPictures, suffix: string, signal?: AbortSignal) {
    const { set } = await this.real();
    const numbers: Record<string, number> = {};
    for (const [i, { network, real, out }] of (await this.#extract(samples, signal)).entries()) {
      const { distance, standardError, bias } = frechetEstimate(real, out.features);
      const quick = Array.from({ length: Math.min(quickCount, samples.count) }, (_, k) => k);
      numbers[`distance${i}${suffix}`] = distance;
      numbers[`standardError${i}${suffix}`] = standardError;
      numbers[`bias${i}${suffix}`] = bias;
      numbers[`quickDistance${i}${suffix}`] = frechetDistance(
        takeRows(real, quick),
        takeRows(out.features, quick),
      ).distance;
      if (out.logits && String(network.classNames) === String(set.classNames))
        numbers[`accuracy${suffix}`] = sampleAccuracy(out.logits, samples.labels).rate;
    }
    const validity = ruleValidity(set, samples.pixels, samples.labels);
    if (validity) numbers[`validity${suffix}`] = validity.rate;
    return numbers;
  }

  async #extract(samples: LabelledPictures, signal: AbortSignal | undefined) {
    const { features } = await this.real();
    const all: { network: FeatureExtractor; real: FeatureSet; out: Extracted }[] = [];
    for (const [i, network] of (await this.#networks.open()).entries())
      all.push({ network, real: features[i] as FeatureSet, out: await network.extract(samples, signal) }); // one each
    return all;
  }
}

/**
 * A model beside the one that it should equal, such as a quantised model beside its original: the same true tokens for
 * both, the same noise for both, and how far apart that leaves them.
 */

import { openImageSet } from "./data/imageSets.node.ts";
import { inOrder } from "./data/loader.ts";
import { drawMany } from "./drawMany.ts";
import { drawnSet } from "./dynamics.node.ts";
import { drawPictures, type LabelledPictures } from "./evaluate/evaluatePictures.ts";
import type { FeatureExtractor } from "./evaluate/features/types.ts";
import { type FrechetEstimate, frechetEstimate } from "./evaluate/frechet.ts";
import { type TokenAgreement, tokenAgreement } from "./evaluate/tokenAgreement.ts";
import { type EvaluateOptions, withSet } from "./evaluate.node.ts";
import { type ComparedData, comparedData, dataOf, requireSameClasses } from "./heldOut.node.ts";
import type { Model } from "./model.ts";
import { tokenise } from "./regimen/tokenSet.ts";
import { openDevice } from "./runtime/device.node.ts";
import { NextxError } from "./tensor/errors.ts";

/** What `compare` may be told. */
export interface CompareOptions extends EvaluateOptions {
  /** Held-out pictures whose tokens both models predict; 256 when absent, none with 0. */
  readonly tokenPictures?: number;
}

/** Distances under one extractor. */
export interface ComparedFeatures {
  readonly name: string;
  readonly sha256: string;
  /** Samples of the model against samples of the reference, pair by pair. */
  readonly between: FrechetEstimate;
  /** Samples of the reference with the next seed against its samples: what other noise alone does. */
  readonly otherNoise: FrechetEstimate;
  /** Samples of each against held-out pictures. */
  readonly model: FrechetEstimate;
  readonly reference: FrechetEstimate;
}

/** A model beside a reference, on the same data and noise. */
export interface ComparisonReport {
  readonly model: { readonly name: string; readonly sha256: string };
  readonly reference: { readonly name: string; readonly sha256: string };
  readonly data: ComparedData;
  readonly count: number;
  readonly seed: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly runtime: string;
  /** Teacher-forced; absent for models that do not predict scale by scale. */
  readonly tokens?: TokenAgreement;
  /** Share of drawn tokens that are the same: one other token changes all that follow. */
  readonly sameDrawn?: number;
  /** Mean absolute difference of the pictures, in 255ths. */
  readonly pixelDifference: number;
  readonly features: readonly ComparedFeatures[];
}

function requireSameKind(model: Model, reference: Model): void {
  const kind = ({ system, imageSize, classNames }: Model) => `${system.id} ${imageSize} ${classNames}`;
  if (kind(model) === kind(reference)) return;
  throw new NextxError("COMPARE_OTHER_MODEL", `${model.name} is no form of ${reference.name}.`, {
    path: "against",
    hint: "Compare models of one system, size and list of classes.",
  });
}

/** Share of equal tokens; undefined where sites are not codes. */
export function sameShare(a: readonly Int32Array[], b: readonly Int32Array[]): number | undefined {
  let [same, total] = [0, 0];
  a.forEach((ids, scale) => {
    total += ids.length;
    ids.forEach((id, i) => {
      if (id === b[scale]?.[i]) same++;
    });
  });
  return total === 0 ? undefined : same / total;
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += Math.abs((a[i] as number) - (b[i] as number)); // as long
  return total / a.length;
}

async function onTrueTokens(
  model: Model,
  reference: Model,
  id: string,
  options: CompareOptions,
): Promise<TokenAgreement | undefined> {
  const { tokenPictures = 256, split = "test", dataRoot, signal } = options;
  if (tokenPictures === 0 || !reference.system.scaleWise) return undefined;
  const root = dataRoot === undefined ? {} : { dataRoot };
  const set = drawnSet(await openImageSet(id, { size: model.imageSize, split, ...root }), tokenPictures);
  const [own, other] = [model.scaleWise(), reference.scaleWise()];
  const device = await openDevice(options);
  const loader = inOrder(set);
  const watched = signal ? { signal } : {};
  const tokens = await tokenise({ ...other.tokenizer, loader, count: set.length, device, ...watched });
  return tokenAgreement(own, other, tokens, { device, ...watched });
}

async function distances(
  extractor: FeatureExtractor,
  real: LabelledPictures,
  drawn: { readonly model: Uint8Array; readonly reference: Uint8Array; readonly again: Uint8Array },
  signal: AbortSignal | undefined,
): Promise<ComparedFeatures> {
  const held = await extractor.features(real, signal);
  const own = await extractor.features({ ...real, pixels: drawn.model }, signal);
  const other = await extractor.features({ ...real, pixels: drawn.reference }, signal);
  const again = await extractor.features({ ...real, pixels: drawn.again }, signal);
  return {
    name: extractor.name,
    sha256: extractor.sha256,
    between: frechetEstimate(other, own, { paired: true }),
    otherNoise: frechetEstimate(other, again),
    model: frechetEstimate(held, own),
    reference: frechetEstimate(held, other),
  };
}

/**
 * Compares a model with its reference: predictions on true tokens, and pictures drawn from the same noise.
 * @throws NextxError COMPARE_OTHER_MODEL, EVALUATE_, DATA_, METRIC_, FEATURES_ and sampling codes, ABORTED
 */
export async function compare(
  model: Model,
  reference: Model,
  options: CompareOptions = {},
): Promise<ComparisonReport> {
  requireSameKind(model, reference);
  const { seed = 0, settings = {}, signal, onProgress } = options;
  const id = options.set ?? (await dataOf(reference));
  const tokens = await onTrueTokens(model, reference, id, options);
  return withSet(id, model.imageSize, options, async (set, extractors, count) => {
    requireSameClasses(reference, set);
    const real = drawPictures(set, count);
    const chosen = reference.recipe({ ...settings, seed }).settings;
    const draw = (from: Model, own: number, what: string) =>
      drawMany(from, {
        ...{ labels: real.labels, seed: own, settings: chosen },
        ...(signal && { signal }),
        onProgress: (text) => onProgress?.(`${what}: ${text}`),
      });
    const own = await draw(model, seed, "the model");
    const other = await draw(reference, seed, "the reference");
    const again = await draw(reference, seed + 1, "the reference, other noise");
    const drawn = { model: own.pixels, reference: other.pixels, again: again.pixels };
    const sameDrawn = sameShare(own.ids, other.ids);
    const features: ComparedFeatures[] = [];
    for (const extractor of extractors) {
      onProgress?.(`features of ${extractor.name}`);
      features.push(await distances(extractor, real, drawn, signal));
    }
    return {
      model: { name: model.recipe().model, sha256: model.sha256 },
      reference: { name: reference.recipe().model, sha256: reference.sha256 },
      data: comparedData(set),
      count: real.count,
      seed,
      settings: chosen,
      runtime: model.runtime,
      ...(tokens && { tokens }),
      ...(sameDrawn !== undefined && { sameDrawn }),
      pixelDifference: meanDifference(own.pixels, other.pixels),
      features,
    };
  });
}

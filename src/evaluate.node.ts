/** Measuring an opened model against the held-out pictures of its data. */

import { join } from "node:path";
import { imageSets, isImageSetId, openImageSet } from "./data/imageSets.node.ts";
import type { ImageSet, Split } from "./data/types.ts";
import { drawMany } from "./drawMany.ts";
import { openFrozenClassifier } from "./evaluate/classifier/classifier.node.ts";
import { drawPictures, evaluatePictures, type PicturesReport } from "./evaluate/evaluatePictures.ts";
import { openForeign } from "./evaluate/features/foreign.node.ts";
import { openOnnxFeatures } from "./evaluate/features/onnxFile.node.ts";
import type { FeatureExtractor } from "./evaluate/features/types.ts";
import { type ComparedData, comparedData, dataOf, requireSameClasses } from "./heldOut.node.ts";
import type { Model } from "./model.ts";
import { packageRoot } from "./models.node.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

/** What every measurement may be told. */
export interface MeasureOptions extends DeviceOptions {
  /** Pictures on each side, 12 to 10,000; 1,000 when absent, fewer where the split has fewer. */
  readonly count?: number;
  /** `test` when absent. */
  readonly split?: Exclude<Split, "train">;
  /** Folder of data sets and of foreign weights. */
  readonly dataRoot?: string;
  /** A network such as Inception as an ONNX file. */
  readonly onnx?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

/** What `evaluate` may be told. */
export interface EvaluateOptions extends MeasureOptions {
  /** Seed of the samples. */
  readonly seed?: number;
  /** Data set to compare with; that of the model's card or run when absent. */
  readonly set?: string;
  /** Settings of the system (cfgScale, topK, ...). */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Held-out pictures against others of the same split. */
export interface NoiseFloorReport extends PicturesReport {
  readonly data: ComparedData;
  readonly runtime: string;
}

/** Everything that is needed to trust and redo the numbers. */
export interface EvaluationReport extends NoiseFloorReport {
  readonly model: { readonly name: string; readonly sha256: string };
  readonly seed: number;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Where classifiers of ours are. */
const classifierRoot = (): string => join(packageRoot(), "models", "classifiers");

/** Our classifier of the set, foreign extractors under the data root, an ONNX file. @throws NextxError EVALUATE_NO_FEATURES */
async function openExtractors(
  set: string,
  device: Device,
  options: MeasureOptions,
): Promise<FeatureExtractor[]> {
  const { dataRoot, onnx } = options;
  const opened: FeatureExtractor[] = [];
  try {
    const own = await openFrozenClassifier(classifierRoot(), set, device);
    if (own) opened.push(own);
    if (dataRoot !== undefined) opened.push(...(await openForeign(dataRoot, { device })));
    if (onnx !== undefined) opened.push(await openOnnxFeatures(onnx, { device }));
    if (opened.length > 0) return opened;
    throw new NextxError(
      "EVALUATE_NO_FEATURES",
      `There is no classifier of ${set} and no other feature network.`,
      {
        path: "features",
        hint: "Name a folder with weights-squeezenet-1.1 (--data or NEXTX_DATA), or a network: --onnx FILE.",
      },
    );
  } catch (error) {
    for (const extractor of opened) extractor[Symbol.dispose]();
    throw error;
  }
}

/** Extractors and one split, opened for as long as `use` takes. */
export async function withSet<T>(
  id: string,
  size: number,
  options: MeasureOptions,
  use: (set: ImageSet, extractors: readonly FeatureExtractor[], count: number, device: Device) => Promise<T>,
): Promise<T> {
  const { count = 1000, split = "test", dataRoot } = options;
  if (!(Number.isInteger(count) && count >= 12 && count <= 10_000))
    throw new NextxError("EVALUATE_BAD_COUNT", `Pictures on each side are 12 to 10,000, got ${count}.`, {
      path: "count",
    });
  const set = await openImageSet(id, { size, split, ...(dataRoot !== undefined && { dataRoot }) });
  const device = await openDevice(options);
  const extractors = await openExtractors(id, device, options);
  try {
    return await use(set, extractors, count, device);
  } finally {
    for (const extractor of extractors) extractor[Symbol.dispose]();
  }
}

const watching = ({ signal, onProgress }: MeasureOptions) => ({
  ...(signal && { signal }),
  ...(onProgress && { onProgress }),
});

/**
 * Samples a model with the classes of held-out pictures, drawn at random, and compares under every available extractor;
 * the same held-out pictures go through the model's tokenizer and back, where it has one.
 * @throws NextxError EVALUATE_, DATA_, METRIC_, FEATURES_ and sampling codes, ABORTED
 */
export async function evaluate(model: Model, options: EvaluateOptions = {}): Promise<EvaluationReport> {
  const { seed = 0, settings, signal } = options;
  const id = options.set ?? (await dataOf(model));
  return withSet(id, model.imageSize, options, async (set, extractors, count) => {
    requireSameClasses(model, set);
    const real = drawPictures(set, count);
    const recipe = model.recipe({ ...settings, class: [...real.labels], count: real.count, seed });
    const request = { labels: real.labels, seed, ...(settings && { settings }), ...watching(options) };
    const generated = { ...real, pixels: (await drawMany(model, request)).pixels };
    const reconstructed = model.canReconstruct && {
      ...real,
      pixels: await model.reconstruct(real.pixels, signal),
    };
    const compared = { real, generated, ...(reconstructed && { reconstructed }) };
    return {
      model: { name: recipe.model, sha256: model.sha256 },
      data: comparedData(set),
      seed,
      settings: recipe.settings,
      runtime: model.runtime,
      ...(await evaluatePictures(extractors, set, compared, watching(options))),
    };
  });
}

/**
 * What a perfect model would get: `count` held-out pictures against `count` others of the same split, drawn at random; half
 * the split on each side where it is smaller. `size` is the set's smallest, or 32 for sets of any size, when absent.
 * @throws NextxError EVALUATE_, DATA_, METRIC_ and FEATURES_ codes, ABORTED
 */
export async function noiseFloor(
  id: string,
  options: MeasureOptions & { readonly size?: number } = {},
): Promise<NoiseFloorReport> {
  const size = options.size ?? (isImageSetId(id) ? imageSets[id].sizes?.[0] : undefined) ?? 32;
  return withSet(id, size, options, async (set, extractors, wanted, device) => {
    const drawn = drawPictures(set, 2 * wanted);
    const count = Math.floor(drawn.count / 2);
    const half = (first: number) => ({
      pixels: drawn.pixels.subarray(first * size * size * 3, (first + count) * size * size * 3),
      labels: drawn.labels.subarray(first, first + count),
      count,
      size,
    });
    const compared = { real: half(0), generated: half(count) };
    return {
      data: comparedData(set),
      runtime: device.runtime,
      ...(await evaluatePictures(extractors, set, compared, watching(options))),
    };
  });
}

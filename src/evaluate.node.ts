/** Measuring an opened model against the held-out pictures of its data. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { openImageSet } from "./data/imageSets.node.ts";
import type { ImageSet, Split } from "./data/types.ts";
import { classifierFolders, openClassifier } from "./evaluate/classifier/classifier.node.ts";
import { drawPictures, evaluatePictures, type PicturesReport } from "./evaluate/evaluatePictures.ts";
import { openForeign } from "./evaluate/features/foreign.node.ts";
import { openOnnxFeatures } from "./evaluate/features/onnxFile.node.ts";
import type { FeatureExtractor } from "./evaluate/features/types.ts";
import type { Model } from "./load.node.ts";
import { packageRoot } from "./models.node.ts";
import { RunReader } from "./regimen/runFolderReader.node.ts";
import { openCpu } from "./runtime/device.node.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

export interface EvaluateOptions {
  /** Pictures on each side; 1,000 when absent, fewer where the split has fewer. */
  readonly samples?: number;
  readonly seed?: number;
  /** Data set to compare with; that of the model's card or run when absent. */
  readonly set?: string;
  /** `test` when absent. */
  readonly split?: Exclude<Split, "train">;
  /** Folder of data sets and of foreign weights. */
  readonly dataRoot?: string;
  /** A network such as Inception as an ONNX file. */
  readonly onnx?: string;
  readonly threads?: number;
  /** Settings of the system (cfgScale, topK, ...). */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

/** Everything that is needed to trust and redo the numbers. */
export interface EvaluationReport extends PicturesReport {
  readonly model: { readonly name: string; readonly sha256: string };
  readonly data: {
    readonly set: string;
    readonly split: string;
    readonly version: string;
    readonly size: number;
  };
  readonly seed: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly runtime: string;
}

/** Where classifiers of ours are. */
export const classifierRoot = (): string => join(packageRoot(), "models", "classifiers");

const runData = z.looseObject({ data: z.looseObject({ set: z.string() }) });

/** The data set that a model was trained on. @throws NextxError EVALUATE_NO_DATA */
async function dataOf(model: Model): Promise<string> {
  if (model.card) return model.card.data;
  const run = existsSync(join(model.name, "run.json")) ? await RunReader.read(model.name) : undefined;
  const parsed = runData.safeParse(run?.config);
  if (parsed.success) return parsed.data.data.set;
  throw new NextxError("EVALUATE_NO_DATA", `${model.name} does not say which data it was trained on.`, {
    path: "set",
    hint: "Name the data set: --set synth.",
  });
}

/** Our classifier of the set, foreign extractors under the data root, an ONNX file. @throws NextxError EVALUATE_NO_FEATURES */
async function openExtractors(
  set: string,
  device: Device,
  options: EvaluateOptions,
): Promise<FeatureExtractor[]> {
  const { dataRoot, onnx } = options;
  const opened: FeatureExtractor[] = [];
  try {
    for (const folder of await classifierFolders(classifierRoot(), set))
      opened.push(await openClassifier(folder, device));
    if (dataRoot !== undefined) opened.push(...(await openForeign(dataRoot, { device })));
    if (onnx !== undefined) opened.push(await openOnnxFeatures(onnx, { device }));
    if (opened.length > 0) return opened;
    throw new NextxError(
      "EVALUATE_NO_FEATURES",
      `There is no classifier of ${set} and no other feature network.`,
      {
        path: "features",
        hint: "Set NEXTX_DATA to a folder with weights-squeezenet-1.1, or train one: nextx eval --train-classifier.",
      },
    );
  } catch (error) {
    for (const extractor of opened) extractor[Symbol.dispose]();
    throw error;
  }
}

/**
 * Samples a model with the classes of held-out pictures, drawn at random, and compares under every available extractor.
 * @throws NextxError EVALUATE_, DATA_, METRIC_, FEATURES_ and sampling codes, ABORTED
 */
export async function evaluate(model: Model, options: EvaluateOptions = {}): Promise<EvaluationReport> {
  const {
    samples = 1000,
    seed = 0,
    split = "test",
    dataRoot,
    threads = 2,
    settings,
    signal,
    onProgress,
  } = options;
  if (!(Number.isInteger(samples) && samples >= 12 && samples <= 10_000))
    throw new NextxError("METRIC_TOO_FEW_SAMPLES", `Samples are 12 to 10,000, got ${samples}.`, {
      path: "samples",
    });
  const id = options.set ?? (await dataOf(model));
  const set = await openImageSet(id, {
    size: model.imageSize,
    split,
    ...(dataRoot !== undefined && { dataRoot }),
  });
  requireSameClasses(model, set);
  const extractors = await openExtractors(id, await openCpu({ threads }), options);
  try {
    const real = drawPictures(set, samples);
    const request = {
      ...settings,
      class: [...real.labels],
      count: real.count,
      seed,
      ...(signal && { signal }),
    };
    const recipe = model.recipe(request);
    onProgress?.(`sampling ${real.count} pictures`);
    let pixels = new Uint8Array(0);
    for await (const event of model.sample(request)) pixels = Uint8Array.from(event.pixels);
    const watch = { ...(signal && { signal }), ...(onProgress && { onProgress }) };
    const report = await evaluatePictures(extractors, set, real, { ...real, pixels }, watch);
    return {
      model: { name: recipe.model, sha256: model.sha256 },
      data: { set: id, split, version: set.version, size: set.size },
      seed,
      settings: recipe.settings,
      runtime: model.runtime,
      ...report,
    };
  } finally {
    for (const extractor of extractors) extractor[Symbol.dispose]();
  }
}

function requireSameClasses({ name, classNames }: Model, set: ImageSet): void {
  if (String(classNames) === String(set.classNames)) return;
  throw new NextxError("EVALUATE_OTHER_CLASSES", `${name} knows other classes than ${set.id}.`, {
    path: "set",
    hint: "Name the data set that the model was trained on.",
  });
}

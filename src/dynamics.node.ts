/** Training dynamics of an opened scale-wise model on the held-out pictures of its data. */
import { openImageSet } from "./data/imageSets.node.ts";
import { inOrder } from "./data/loader.ts";
import type { ImageSet, Split } from "./data/types.ts";
import { type DynamicsReport, measureDynamics } from "./evaluate/dynamics/measure.ts";
import { drawPictures } from "./evaluate/evaluatePictures.ts";
import { comparedData, dataOf, requireSameClasses } from "./heldOut.node.ts";
import type { Model } from "./model.ts";
import { tokenise } from "./regimen/tokenSet.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { NextxError } from "./tensor/errors.ts";

/** What measuring dynamics may be told. */
export interface DynamicsOptions extends DeviceOptions {
  /** Held-out pictures, 1 to 10,000; 256 when absent, fewer where the split has fewer. */
  readonly count?: number;
  /** Seed of rollouts and corruption; 0 when absent. */
  readonly seed?: number;
  /** Probability with which a token of the corrupted scale is drawn anew, 0 to 1; 0.25 when absent. */
  readonly corruptRate?: number;
  /** Sides of the scales, growing, for models that know many schedules; the model's own when absent. */
  readonly schedule?: readonly number[];
  /** Data set; that of the model's card or run when absent. */
  readonly set?: string;
  /** `test` when absent. */
  readonly split?: Exclude<Split, "train">;
  /** Folder of data sets. */
  readonly dataRoot?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string, done: number, total: number) => void;
}

function requireOptions({ count = 256, corruptRate = 0.25 }: DynamicsOptions): void {
  const fail = (path: string, message: string): never => {
    throw new NextxError("DYNAMICS_BAD_OPTION", message, { path });
  };
  if (!(Number.isInteger(count) && count >= 1 && count <= 10_000))
    fail("count", `Pictures are 1 to 10,000, got ${count}.`);
  if (!(corruptRate >= 0 && corruptRate <= 1))
    fail("corruptRate", `A corruption rate is a number from 0 to 1, got ${corruptRate}.`);
}

/** `count` pictures of a split, drawn as `evaluate` draws them, as a set of their own. */
export function drawnSet(set: ImageSet, count: number): ImageSet {
  const { id, split, size, classNames, version } = set;
  const { pixels, labels, count: length } = drawPictures(set, count);
  const bytes = size * size * 3;
  return {
    ...{ id, split, size, classNames, version, length },
    get: (index) => ({
      pixels: pixels.subarray(index * bytes, (index + 1) * bytes),
      label: labels[index] as number, // a loader stays in range
    }),
  };
}

/**
 * Measures what a model knows on the true past, on its own past, and on a corrupted past, scale by scale. The same model,
 * options, threads and machine give the same numbers; models that are given the same options see the same pictures.
 * @throws NextxError DYNAMICS_BAD_OPTION, MODEL_NOT_SCALE_WISE, SCHEDULE_, PLAN_, EVALUATE_ and DATA_ codes, ABORTED
 */
export async function dynamics(model: Model, options: DynamicsOptions = {}): Promise<DynamicsReport> {
  requireOptions(options);
  const { count = 256, seed = 0, corruptRate = 0.25, split = "test" } = options;
  const { schedule, dataRoot, signal, onProgress } = options;
  const subject = model.scaleWise(schedule);
  const id = options.set ?? (await dataOf(model));
  const set = await openImageSet(id, {
    size: model.imageSize,
    split,
    ...(dataRoot !== undefined && { dataRoot }),
  });
  requireSameClasses(model, set);
  const device = await openDevice(options);
  const drawn = drawnSet(set, count);
  const loader = inOrder(drawn);
  const watched = signal && { signal };
  const tokens = await tokenise({
    ...subject.tokenizer,
    ...{ loader, count: drawn.length, device, ...watched },
    onProgress: (done) => onProgress?.("tokenising", done, drawn.length),
  });
  const measured = await measureDynamics(subject, tokens, {
    ...{ device, seed, corruptRate, ...watched },
    onProgress: (done, total) => onProgress?.("measuring", done, total),
  });
  return {
    model: { name: model.recipe().model, sha256: model.sha256, system: model.system.id },
    data: comparedData(set),
    runtime: device.runtime,
    ...measured,
  };
}

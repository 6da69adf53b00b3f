/** What turns pictures into features: everything that measures knows extractors only through this. */
import type { FeatureSet } from "../featureSet.ts";

/** Square pictures of one size: count * size * size * 3 bytes, RGB, channels last. */
export interface Pictures {
  readonly pixels: Uint8Array;
  readonly count: number;
  /** Side in pixels. */
  readonly size: number;
}

/** What one pass over pictures gave. */
export interface Extracted {
  readonly features: FeatureSet;
  /** Class scores before softmax, where the extractor is a classifier; for several factors, those of the class. */
  readonly logits?: FeatureSet;
}

/** A frozen network with a name and a hash. Dispose when done. */
export interface FeatureExtractor extends Disposable {
  /** What it is and which layer, for example `squeezenet-1.1 fire9`. */
  readonly name: string;
  /** SHA-256 of the file that holds its weights. */
  readonly sha256: string;
  readonly dims: number;
  /** Side in pixels that pictures are resized to (triangle filter, wider when shrinking). */
  readonly inputSize: number;
  /** What its logits stand for, where it was trained on a set of ours. */
  readonly classNames?: readonly string[];
  /** Features, and logits where there are any. @throws NextxError METRIC_BAD_SHAPE, ABORTED */
  extract(pictures: Pictures, signal?: AbortSignal): Promise<Extracted>;
  /** Only the features. */
  features(pictures: Pictures, signal?: AbortSignal): Promise<FeatureSet>;
}

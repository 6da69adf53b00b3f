/**
 * What every picture data set offers. Pictures are 8-bit, height x width x channels, row-major; models turn them into
 * [-1, 1] tensors. Sets are random-access, so a position in a shuffled epoch can be saved and restored exactly.
 */

/** One labelled picture. */
export interface LabelledImage {
  /** size * size * 3 bytes, RGB, row-major, channels last. */
  readonly pixels: Uint8Array;
  /** 0 .. numClasses - 1. */
  readonly label: number;
}

/** One split of a picture data set: square RGB pictures of one size. */
export interface ImageSet {
  /** Stable id, for example `synth` or `fashion-mnist`. */
  readonly id: string;
  readonly split: Split;
  /** Side in pixels. */
  readonly size: number;
  readonly length: number;
  readonly classNames: readonly string[];
  /** Hash or version of the content; written into run folders and cards. */
  readonly version: string;
  get(index: number): LabelledImage;
  /** Whether a picture obeys the set's rules for a class; only procedural sets can tell. */
  follows?(pixels: Uint8Array, label: number): boolean;
}

export type Split = "train" | "validation" | "test";

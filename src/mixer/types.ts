/** The mixer axis: layers over a group mask, with what they keep for the groups to come. Shape letters as in the mixers. */
import type { Tensor } from "../tensor/tensor.ts";

/** Keys and values of one layer, [B, H, M, D]; keys are stored as they are compared (normalised, rotated). */
export interface KeyValue {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** What a layer may look at, and how it is trained. */
export interface LayerOptions {
  /** Additive mask [L, M]. */
  readonly bias?: Tensor;
  readonly past?: KeyValue;
  /** Drop-path factors of the two branches, [B, 1, 1] each (0, or 1 / keep probability). */
  readonly keep?: readonly [Tensor, Tensor];
}

/** A layer's output [B, L, C] and its cache including the past. */
export interface LayerResult {
  readonly x: Tensor;
  readonly cache: KeyValue;
}

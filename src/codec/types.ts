/** The codec axis: raw data to sites and back. */
import type { Tensor } from "../tensor/tensor.ts";

/** What the values of a site are. */
export type SiteSpace =
  | { readonly kind: "ids"; readonly vocabSize: number }
  | { readonly kind: "bits"; readonly width: number }
  | { readonly kind: "vectors"; readonly width: number }
  | { readonly kind: "scalars" };

/** Graph functions of a codec of pictures; all shapes are symbolic in the batch. */
export interface ImageCodec {
  readonly space: SiteSpace;
  /** Pictures [B, 3, H, W] in [-1, 1] -> features [B, C, P, P]. */
  encode(images: Tensor): Tensor;
  /** Features -> pictures, not clamped. */
  decode(features: Tensor): Tensor;
}

/** A codec whose tokens add up: the running reconstruction is the input of the next group. */
export interface ResidualCodec extends ImageCodec {
  /** Features -> token ids per group and the running reconstruction after each group. */
  quantise(features: Tensor): {
    readonly ids: readonly Tensor[];
    readonly reconstructions: readonly Tensor[];
  };
  /** Input of every group but the first, from all ids [B, L]: [B, L - size of group 0, C]. */
  teacherInput(ids: Tensor): Tensor;
}

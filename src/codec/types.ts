/** The codec axis: raw data to sites and back. */
import type { ParameterSpec } from "../nn/scope.ts";
import type { Graph } from "../runtime/trace.ts";
import type { Value } from "../runtime/values.ts";
import type { RandomStream } from "../tensor/random.ts";
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

/**
 * Pictures to maps of vectors and back, in host memory: what models of continuous latents need. Ours is
 * `regimen/klCodec.ts`; any object that does this will do, whatever computes it.
 */
export interface LatentCodec {
  /** Numbers per site. */
  readonly width: number;
  /** Sites along one side of a picture's map. */
  readonly side: number;
  /** Side of a picture in pixels. */
  readonly imageSize: number;
  /** Pictures [B, 3, S, S] in [-1, 1] -> the distribution of their maps, whose numbers have a deviation near 1. */
  encode(images: Value): Promise<LatentDistribution>;
  /** Maps [B, C, P, P] -> pictures [B, 3, S, S], clamped to [-1, 1]. */
  decode(latents: Value): Promise<Value>;
}

/** Independent normal numbers [B, C, P, P]; a codec that draws nothing has no deviation. */
export interface LatentDistribution {
  readonly mean: Value;
  readonly deviation?: Value;
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

/** What one training step of a codec draws: values of its inputs besides `images`, and the sizes of its groups. */
export interface CodecDraw {
  readonly values: Readonly<Record<string, Value>>;
  /** Sites per picture of each group whose ids the step reports, in order. */
  readonly sizes: readonly number[];
}

/** A codec with a codebook, as its training sees it. */
export interface TrainableCodec {
  /** Training graph; input `images`, metric `ids` [B, sum of sizes] feeds the usage statistics. */
  readonly graph: Graph;
  /** Pictures -> `features` [B, C, P, P], for first codes. */
  readonly encode: Graph;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  /** Channels, height and width of a picture. */
  readonly pictureShape: readonly [number, number, number];
  readonly codebook: { readonly name: string; readonly vocabSize: number; readonly width: number };
  /** Groups of a step. */
  readonly groups: number;
  draw(stream: RandomStream): CodecDraw;
  /** A first code [width] from the features [C * P * P] of one picture. */
  firstCode(features: Float32Array, stream: RandomStream): Float32Array;
}

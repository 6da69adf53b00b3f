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
  /** Lengths of consecutive parts of the L sites that see themselves only: exactly a block-diagonal mask. Without a past. */
  readonly spans?: readonly number[];
  /** Drop-path factors of the two branches, [B, 1, 1] each (0, or 1 / keep probability). */
  readonly keep?: readonly [Tensor, Tensor];
}

/** What layers without parts and drop path take. */
export type CachedOptions = Pick<LayerOptions, "bias" | "past">;

/** Drop-path factors of a layer's two branches, [B, 1, 1] each. */
export type KeepFactors = (layer: number) => readonly [Tensor, Tensor];

/** A layer's output [B, L, C] and its cache including the past. */
export interface LayerResult {
  readonly x: Tensor;
  readonly cache: KeyValue;
}

/** Modulations of all layers [B, depth, 6, C] and of the head [B, 2, C]: they depend on the condition alone. */
export interface Modulations {
  readonly layers: Tensor;
  readonly head: Tensor;
}

/** Layers and head over groups of sites, modulated by one vector per row; what may be seen is handed in. */
export interface ModulatedMixer {
  readonly depth: number;
  readonly numHeads: number;
  /** Width C of the hidden state. */
  readonly width: number;
  readonly vocabSize: number;
  /** Condition vectors [B, C] -> modulations. */
  modulations(condition: Tensor): Modulations;
  /** Embedded sites x [B, L, C] -> logits [B, L, V] and every layer's cache. */
  blocks(
    x: Tensor,
    modulations: Modulations,
    options: (layer: number) => LayerOptions,
  ): { readonly logits: Tensor; readonly caches: readonly KeyValue[] };
}

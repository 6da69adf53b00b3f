/** The head axis: from what a model gives for a site to a value, and how likely a value is. */
import type { Group } from "../plan/types.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A distribution over a site's values given its parameters (for example logits [V]). */
export interface Head<Value, Options> {
  /** One draw; takes the same number of random numbers whatever the options. */
  sample(parameters: Float32Array, options: Options, stream: RandomStream): Value;
  /** Natural logarithm of the probability (density) of a value, unfiltered. */
  logProb(parameters: Float32Array, value: Value): number;
}

/** A head's row: of the site at `index` of the group before; 0 before the first group, the prefix. */
export interface HeadSource {
  readonly head: number;
  readonly index: number;
}

/** How heads become distributions of sites. */
export interface LatticeHeads {
  readonly heads: number;
  /** Heads' logits [B, 1 + L, V] of prefix and all sites in row-major order -> of the sites [B, L, V]. */
  combine(heads: readonly Tensor[]): Tensor;
  /** Which rows are averaged for each site of a group. */
  sources(group: Group): readonly (readonly HeadSource[])[];
}

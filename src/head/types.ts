/** The head axis: from what a model gives for a site to a value, and how likely a value is. */
import type { RandomStream } from "../tensor/random.ts";

/** A distribution over a site's values given its parameters (for example logits [V]). */
export interface Head<Value, Options> {
  /** One draw; takes the same number of random numbers whatever the options. */
  sample(parameters: Float32Array, options: Options, stream: RandomStream): Value;
  /** Natural logarithm of the probability (density) of a value, unfiltered. */
  logProb(parameters: Float32Array, value: Value): number;
}

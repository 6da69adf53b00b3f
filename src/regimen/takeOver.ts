/** First weights that a training goes on from. */
import type { Weights } from "../nn/scope.ts";

/** Writes `initial` over drawn weights of the same names; others stay as they were drawn. */
export function takeOver(weights: Weights, initial: Weights = new Map()): void {
  for (const [name, { data }] of initial)
    (weights.get(name)?.data as Float32Array | undefined)?.set(data as Float32Array); // weights are float32
}

/**
 * The time of a flow or diffusion as a vector: waves of the time in thousandths, then two layers. Source: DiT's timestep
 * embedder as in xAR and FlowAR `models/flowmodel.py` (code).
 */
import { silu } from "../tensor/ops/neural.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { linear } from "./layers.ts";
import type { Initializer, Scope } from "./scope.ts";

/** Waves per time: cosines, then sines. */
export const timeWaves = 256;

const longestPeriod = 10_000;

/** floor(1000 t) as the networks see it: `time` is rounded to float32 before and after the product. */
export function timeId(time: number): number {
  return Math.floor(Math.fround(Math.fround(time) * 1000));
}

/** Times in whole thousandths [N] -> waves [N * 256] of falling frequency. */
export function timeFeatures(ids: ArrayLike<number>): Float32Array {
  const half = timeWaves / 2;
  const out = new Float32Array(ids.length * timeWaves);
  for (let row = 0; row < ids.length; row++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround((ids[row] as number) * Math.fround(longestPeriod ** (-i / half))); // in range
      out[row * timeWaves + i] = Math.cos(angle);
      out[row * timeWaves + half + i] = Math.sin(angle);
    }
  }
  return out;
}

/** Waves [..., 256] -> vectors [..., width]; parameters `mlp.0` and `mlp.2`. */
export function timeEmbedding(scope: Scope, waves: Tensor, width: number, weight: Initializer): Tensor {
  const hidden = silu(linear(scope.in("mlp", 0), waves, width, { weight }));
  return linear(scope.in("mlp", 2), hidden, width, { weight });
}

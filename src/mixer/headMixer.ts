/** Mixing over time inside multi-head layers, as a function that attention and auto-correlation are values of. */
import type { Tensor } from "../tensor/tensor.ts";

/** Per head: queries [B, L, H, E], keys and values [B, S, H, E] -> [B, L, H, E]. */
export type HeadMixer = (queries: Tensor, keys: Tensor, values: Tensor) => Tensor;

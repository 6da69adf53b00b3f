/** Scaled dot-product attention as a mixer of heads. Shape letters as in `headMixer.ts`. */
import { attend } from "../nn/layers.ts";
import { transpose } from "../tensor/ops/structure.ts";
import { constant, dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import type { HeadMixer } from "./headMixer.ts";

const headsFirst = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3]);

function scaled(queries: Tensor, keys: Tensor, values: Tensor, bias?: Tensor): Tensor {
  const scale = 1 / Math.sqrt(staticDim(dimOf(queries, 3), "Attention"));
  return headsFirst(attend(headsFirst(queries), headsFirst(keys), headsFirst(values), scale, bias));
}

/** Every step sees every step. */
export const fullAttention: HeadMixer = (queries, keys, values) => scaled(queries, keys, values);

/** A step sees itself and earlier ones; as many keys as queries. */
export const causalAttention: HeadMixer = (queries, keys, values) => {
  const length = staticDim(dimOf(queries, 1), "Causal attention");
  const bias = Float32Array.from({ length: length * length }, (_, i) =>
    i % length > Math.floor(i / length) ? -1e9 : 0,
  );
  return scaled(queries, keys, values, constant(bias, [length, length]));
};

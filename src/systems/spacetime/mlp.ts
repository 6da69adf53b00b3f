/**
 * SpaceTime's layers per step: linear ones with activations between them. Source: `model/mlp.py` (code), whose list of
 * layers gives the parameters their numbers: an activation before them counts two, one after a layer counts one.
 */
import { linear } from "../../nn/layers.ts";
import { filled, type Scope, uniform, zeros } from "../../nn/scope.ts";
import { add, maximum, mul } from "../../tensor/ops/elementwise.ts";
import { gelu, layerNorm, mean, silu } from "../../tensor/ops/neural.ts";
import { dimOf, staticDim, type Tensor } from "../../tensor/tensor.ts";
import type { MlpConfig } from "./config.ts";

const activations: Readonly<Record<MlpConfig["activation"], (x: Tensor) => Tensor>> = {
  gelu: (x) => gelu(x, "none"),
  relu: (x) => maximum(x, 0),
  silu,
  identity: (x) => x,
};

/** x [B, L, C] -> [B, L, out], plus what entered when `skip`; [B, 1, out] with a pool. */
export function mlp(scope: Scope, x: Tensor, config: MlpConfig, out: number, skip: boolean): Tensor {
  const inside = staticDim(dimOf(x, 2), "A layer");
  const { activation, layers, preActivation } = config;
  const hidden = config.hiddenDim ?? (layers < 2 ? out : inside);
  const activate = activations[activation];
  let entered = config.layerNorm ? normed(scope.in("layernorm"), x, inside) : x;
  let [state, index, active] = [entered, 0, config.activations];
  if (active > layers || preActivation) {
    state = activate(entered);
    if (activation !== "gelu") entered = state; // code: these act in place, so that the skip adds what they leave
    [index, active] = [2, active - 1];
  }
  for (let left = layers; left > 0 || active > 0; left--, active--) {
    const width = left === layers || left > 1 ? hidden : left === 1 ? out : undefined;
    if (width !== undefined) {
      const bias = uniform(1 / Math.sqrt(staticDim(dimOf(state, 2), "A layer")));
      state = linear(scope.in("layers", index++), state, width, { bias });
    }
    if (active > 0) {
      state = activate(state);
      index++;
    }
  }
  const y = skip ? add(state, entered) : state;
  return config.averagePool ? mean(y, [1], true) : y;
}

/** Layer norm with `weight` and `bias`. */
function normed(scope: Scope, x: Tensor, width: number): Tensor {
  const weight = scope.param("weight", [width], filled(1));
  return add(mul(layerNorm(x, 1e-5), weight), scope.param("bias", [width], zeros));
}

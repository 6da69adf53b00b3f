/**
 * Transformer blocks modulated by a condition (AdaLN), with optional L2-normalised attention. Source: VAR
 * `models/basic_var.py` (code); parameter names are the official ones.
 * Shape letters: B batch, L queries, M keys, C width, H heads, D head width.
 */
import { attend, attendWithin, linear, modulate } from "../nn/layers.ts";
import { filled, type Initializer, type Scope, scaledInit, truncatedNormal, zeros } from "../nn/scope.ts";
import type { Dim } from "../tensor/dims.ts";
import { add, exp, minimum, mul } from "../tensor/ops/elementwise.ts";
import { linear as linearOp } from "../tensor/ops/linear.ts";
import { gelu, l2Normalize, layerNorm } from "../tensor/ops/neural.ts";
import { concat, reshape, slice, transpose } from "../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../tensor/tensor.ts";

import type { LayerOptions, LayerResult } from "./types.ts";

export interface AdaLnConfig {
  readonly embedDim: number;
  readonly numHeads: number;
  readonly mlpRatio: number;
  readonly depth: number;
  readonly normEps: number;
  readonly attnL2Norm: boolean;
  readonly sharedAln: boolean;
}

/** Standard deviation of the official initialisation: sqrt(1 / (3 C)). */
export const initStd = (embedDim: number): number => Math.sqrt(1 / (3 * embedDim));

/** First value of the two gates' scale: smaller for deeper models (code, `init_adaln_gamma` per size). */
function gateScale(depth: number): number {
  if (depth <= 20) return 1e-3;
  if (depth <= 24) return 1e-4;
  return depth <= 30 ? 1e-5 : 5e-6;
}

/** ada_lin rows: two gammas first (times the gate scale), then scales and shifts (times 0.5). */
function modulationInit(embedDim: number, depth: number): Initializer {
  const base = truncatedNormal(initStd(embedDim));
  return (stream, shape) => {
    const values = base(stream, shape);
    const gates = 2 * embedDim * (shape[1] ?? 1);
    return values.map((value, i) => value * (i < gates ? gateScale(depth) : 0.5));
  };
}

/** The six modulation vectors of a layer from the activated condition [B, C]: [B, 6, C] (g1, g2, s1, s2, b1, b2). */
export function layerModulation(
  scope: Scope,
  activated: Tensor,
  shared: Tensor | undefined,
  config: AdaLnConfig,
): Tensor {
  const c = config.embedDim;
  if (shared !== undefined) {
    const own = scope.param("ada_gss", [1, 1, 6, c], (stream) =>
      stream.normals(6 * c, 1 / Math.sqrt(c)).map((v, i) => v * (i < 2 * c ? gateScale(config.depth) : 0.5)),
    );
    return add(shared, reshape(own, [1, 6, c]));
  }
  const init = { weight: modulationInit(c, config.depth), bias: zeros };
  return reshape(linear(scope.in("ada_lin", 1), activated, 6 * c, init), [dimOf(activated, 0), 6, c]);
}

/** The modulation that all layers share (`shared_aln`): [B, C] -> [B, 6, C]. */
export function sharedModulation(scope: Scope, activated: Tensor, config: AdaLnConfig): Tensor {
  const init = { weight: truncatedNormal(initStd(config.embedDim)), bias: zeros };
  return reshape(linear(scope.in("shared_ada_lin", 1), activated, 6 * config.embedDim, init), [
    dimOf(activated, 0),
    6,
    config.embedDim,
  ]);
}

/** Part i of a modulation [B, K, C] as [B, 1, C]. */
export function modulationPart(modulation: Tensor, i: number): Tensor {
  return slice(modulation, 1, i, i + 1);
}

function attention(scope: Scope, x: Tensor, config: AdaLnConfig, { bias, past, spans }: LayerOptions) {
  const { embedDim: c, numHeads: heads, depth } = config;
  const width = c / heads;
  const [b, l] = x.shape as [Dim, Dim];
  const init = truncatedNormal(initStd(c));
  const qkvBias = concat(
    [
      scope.param("q_bias", [c], zeros),
      constant(new Float32Array(c), [c]),
      scope.param("v_bias", [c], zeros),
    ],
    0,
  );
  const qkv = linearOp(x, scope.param("mat_qkv.weight", [3 * c, c], init), qkvBias);
  const parts = transpose(reshape(qkv, [b, l, 3, heads, width]), [2, 0, 3, 1, 4]); // (3, B, H, L, D)
  const part = (i: number) => reshape(slice(parts, 0, i, i + 1), [b, heads, l, width]);
  let [q, key, value] = [part(0), part(1), part(2)];
  let scale = 0.25 / Math.sqrt(width);
  if (config.attnL2Norm) {
    const multiplier = scope.param("scale_mul_1H11", [1, heads, 1, 1], filled(Math.log(4)));
    q = mul(l2Normalize(q), exp(minimum(multiplier, Math.log(100))));
    key = l2Normalize(key);
    scale = 1;
  }
  if (past !== undefined) {
    key = concat([past.key, key], 2);
    value = concat([past.value, value], 2);
  }
  const mixed = spans ? attendWithin(spans, q, key, value, scale) : attend(q, key, value, scale, bias); // (B, H, L, D)
  const flat = reshape(transpose(mixed, [0, 2, 1, 3]), [b, l, c]);
  const out = linear(scope.in("proj"), flat, c, { weight: scaledInit(init, 1 / Math.sqrt(2 * depth)) });
  return { out, cache: { key, value } };
}

/** Nearest whole number, the even one where two are as near, as Python rounds. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const isTie = x - below === 0.5;
  return isTie ? below + (below % 2) : Math.round(x);
}

function feedForward(scope: Scope, x: Tensor, config: AdaLnConfig): Tensor {
  const init = truncatedNormal(initStd(config.embedDim));
  const hidden = gelu(
    linear(scope.in("fc1"), x, roundHalfEven(config.embedDim * config.mlpRatio), { weight: init }),
    "tanh",
  );
  return linear(scope.in("fc2"), hidden, config.embedDim, {
    weight: scaledInit(init, 1 / Math.sqrt(2 * config.depth)),
  });
}

/** One block: x [B, L, C], modulation [B, 6, C] -> the new x and the layer's keys and values. */
export function adaLnBlock(
  scope: Scope,
  x: Tensor,
  modulation: Tensor,
  config: AdaLnConfig,
  options: LayerOptions = {},
): LayerResult {
  const [g1, g2, s1, s2, b1, b2] = Array.from({ length: 6 }, (_, i) => modulationPart(modulation, i)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor, // six parts by construction
  ];
  const keep = (branch: Tensor, i: 0 | 1) =>
    options.keep === undefined ? branch : mul(branch, options.keep[i]);
  const { out, cache } = attention(
    scope.in("attn"),
    modulate(layerNorm(x, config.normEps), s1, b1),
    config,
    options,
  );
  const attended = add(x, keep(mul(out, g1), 0));
  const mixed = feedForward(scope.in("ffn"), modulate(layerNorm(attended, config.normEps), s2, b2), config);
  return { x: add(attended, keep(mul(mixed, g2), 1)), cache };
}

/**
 * Multi-scale residual quantiser with phi convolutions. Source: VAR section 3.2 and `models/quant.py` (code).
 * Shape letters: B batch, C codebook width, P finest side, N sites of one scale, V codebook size, S scales.
 */

import { fanInUniform, type Scope, uniform } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import { type Dim, mulDims } from "../tensor/dims.ts";
import { add, mul, square, sub } from "../tensor/ops/elementwise.ts";
import { argmaxLast, gatherRows } from "../tensor/ops/gather.ts";
import { conv2dBias, matmul } from "../tensor/ops/linear.ts";
import { l2Normalize, mean } from "../tensor/ops/neural.ts";
import { concat, reshape, split, stopGradient, transpose } from "../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../tensor/tensor.ts";
import { nearestCode } from "./nearest.ts";
import { areaMatrix, bicubicMatrix } from "./resize.ts";

export interface QuantiserConfig {
  readonly vocabSize: number;
  /** Codebook width C. */
  readonly zChannels: number;
  /** Nearest code by cosine instead of distance. */
  readonly usingZnorm: boolean;
  /** Weight r of the phi convolution: h (1 - r) + conv(h) r; 0 switches phi off. */
  readonly quantResi: number;
  /** Phi convolutions: 0 = one per scale, 1 = one for all, K = K shared ones. */
  readonly shareQuantResi: number;
}

/**
 * Number of phi convolutions, and which one each scale uses (nearest tick). Source: code, `PhiPartiallyShared`: its ticks are
 * `np.linspace(1/3/K, 1 - 1/3/K, K)`, and for 3, 5, 7, 9, 10 scales some lie halfway between two ticks, so that their last
 * bit decides: they are rounded as there.
 */
export function phiAssignment(scales: number, share: number): { count: number; ids: readonly number[] } {
  const count = share === 0 ? scales : share;
  const edge = count === 4 ? 1 / 3 / count : 1 / 2 / count;
  const step = (1 - edge - edge) / (count - 1);
  const ticks = Array.from({ length: count }, (_, k) =>
    k > 0 && k === count - 1 ? 1 - edge : k === 0 ? edge : k * step + edge,
  );
  const ids = Array.from({ length: scales }, (_, s) => {
    const at = scales === 1 ? 0 : s / (scales - 1);
    const gaps = ticks.map((tick) => Math.abs(tick - at));
    return share === 1 ? 0 : gaps.indexOf(Math.min(...gaps));
  });
  return { count, ids };
}

function phiScope(scope: Scope, share: number, id: number): Scope {
  if (share === 1) return scope.in("quant_resi", "qresi");
  return share === 0 ? scope.in("quant_resi", id) : scope.in("quant_resi", "qresi_ls", id);
}

/** Rows of sites to a map: [B, N, C] -> [B * C, N]. */
function siteRows(x: Tensor): Tensor {
  const [b, n, c] = x.shape as [Dim, Dim, Dim];
  return reshape(transpose(x, [0, 2, 1]), [mulDims(b, c), n]);
}

/** The quantiser under `scope` (official names below `quantize.`) for a schedule; traced, so calls describe graphs. */
export class MultiScaleVq {
  readonly #scope: Scope;
  readonly #config: QuantiserConfig;
  readonly plan: Plan<Scale>;
  /** Finest side P. */
  readonly side: number;

  constructor(scope: Scope, config: QuantiserConfig, plan: Plan<Scale>) {
    this.#scope = scope;
    this.#config = config;
    this.plan = plan;
    this.side = Math.max(...plan.groups.map((group) => group.side));
  }

  /** The codebook [V, C]. */
  get codebook(): Tensor {
    const { vocabSize, zChannels } = this.#config;
    return this.#scope.in("embedding").param("weight", [vocabSize, zChannels], uniform(1 / vocabSize));
  }

  #phiWeights(id: number): { weight: Tensor; bias: Tensor } {
    const { zChannels: c, shareQuantResi } = this.#config;
    const scope = phiScope(this.#scope, shareQuantResi, id);
    return {
      weight: scope.param("weight", [c, c, 3, 3], fanInUniform),
      bias: scope.param("bias", [c], uniform(1 / Math.sqrt(9 * c))),
    };
  }

  #applyPhi(h: Tensor, weight: Tensor, bias: Tensor): Tensor {
    const r = this.#config.quantResi;
    const convolved = conv2dBias(h, weight, bias, { pads: [1, 1, 1, 1] });
    return add(mul(h, 1 - r), mul(convolved, r));
  }

  /** phi of scale s on a map [B, C, P, P]. */
  #phi(h: Tensor, s: number): Tensor {
    if (Math.abs(this.#config.quantResi) <= 1e-6) return h;
    const { ids } = phiAssignment(this.plan.groups.length, this.#config.shareQuantResi);
    const { weight, bias } = this.#phiWeights(ids[s] as number); // one id per scale
    return this.#applyPhi(h, weight, bias);
  }

  #map(rows: Tensor, side: Dim): Tensor {
    const c = this.#config.zChannels;
    return reshape(rows, [-1, c, side, side]); // (B, C, P, P)
  }

  /** Contribution of scale s from code vectors [B, N, C]: bicubic to P x P, then phi. */
  #contribution(codes: Tensor, s: number): Tensor {
    const { side, size } = this.plan.groups[s] as Scale; // s in range
    let rows = siteRows(codes);
    if (side !== this.side) {
      rows = matmul(rows, constant(bicubicMatrix(side, this.side), [size, this.side ** 2]));
    }
    return this.#phi(this.#map(rows, this.side), s);
  }

  /** Area-pools a map [B, C, P, P] to the sites of scale s: [B, N, C]. */
  #pool(map: Tensor, s: number): Tensor {
    const { side, size } = this.plan.groups[s] as Scale; // s in range
    const c = this.#config.zChannels;
    const flat = reshape(map, [-1, this.side ** 2]); // (B * C, P * P)
    const pooled =
      side === this.side ? flat : matmul(flat, constant(areaMatrix(this.side, side), [this.side ** 2, size]));
    return transpose(reshape(pooled, [-1, c, size]), [0, 2, 1]); // (B, N, C)
  }

  /** Index of the nearest code for vectors [B, N, C] -> [B, N]; the lowest index on ties. */
  nearest(vectors: Tensor): Tensor {
    const book = stopGradient(this.codebook);
    if (this.#config.usingZnorm) {
      return argmaxLast(matmul(l2Normalize(vectors), l2Normalize(book), false, true));
    }
    return nearestCode(vectors, book);
  }

  /** Features [B, C, P, P] -> ids [B, N] of each scale and the running reconstruction after it. */
  quantise(features: Tensor): { ids: Tensor[]; reconstructions: Tensor[] } {
    let rest = stopGradient(features);
    let total: Tensor | undefined;
    const ids: Tensor[] = [];
    const reconstructions: Tensor[] = [];
    this.plan.groups.forEach((_, s) => {
      const id = this.nearest(this.#pool(rest, s));
      const h = this.#contribution(gatherRows(this.codebook, id), s);
      total = total === undefined ? h : add(total, h);
      rest = sub(rest, stopGradient(h));
      ids.push(id);
      reconstructions.push(total);
    });
    return { ids, reconstructions };
  }

  /**
   * Quantisation with gradients: straight-through features and the VQ loss
   * mean over scales of beta mse(sg(hat_s), f) + mse(hat_s, sg(f)). Source: code, `VectorQuantizer2.forward`.
   */
  forward(features: Tensor, beta: number): { output: Tensor; loss: Tensor; ids: Tensor[] } {
    const { ids, reconstructions } = this.quantise(features);
    const fixed = stopGradient(features);
    const terms = reconstructions.map((hat) =>
      add(mul(mean(square(sub(stopGradient(hat), features))), beta), mean(square(sub(hat, fixed)))),
    );
    const loss = mul(
      terms.reduce((a, b) => add(a, b)),
      1 / terms.length,
    );
    const last = reconstructions[reconstructions.length - 1] as Tensor; // at least one scale
    return { output: add(features, stopGradient(sub(last, features))), loss, ids };
  }

  /** Ids [B, L] of all scales -> running reconstructions [B, C, P, P] after each scale. */
  reconstruct(ids: Tensor): Tensor[] {
    const parts = split(
      ids,
      1,
      this.plan.groups.map((group) => group.size),
    );
    let total: Tensor | undefined;
    return parts.map((part, s) => {
      const h = this.#contribution(gatherRows(this.codebook, part), s);
      total = total === undefined ? h : add(total, h);
      return total;
    });
  }

  /** What the transformer sees for scales 1 .. S-1: the accumulated reconstruction, pooled: [B, L - N_0, C]. */
  teacherInput(ids: Tensor): Tensor {
    const hats = this.reconstruct(ids).slice(0, -1);
    const parts = hats.map((hat, s) => this.#pool(hat, s + 1));
    if (parts.length === 0)
      return reshape(mul(gatherRows(this.codebook, ids), 0), [dimOf(ids, 0), 0, this.#config.zChannels]);
    return concat(parts, 1);
  }

  /** What each scale but the first adds by itself, at its own sites: [B, L - N_0, C]. Source: HMAR `models/quant.py` (code). */
  ownInput(ids: Tensor): Tensor {
    const sizes = this.plan.groups.map((group) => group.size);
    const parts = split(ids, 1, sizes).slice(1);
    return concat(
      parts.map((part, i) => this.#pool(this.#contribution(gatherRows(this.codebook, part), i + 1), i + 1)),
      1,
    );
  }

  /** Contribution of any scale, whose resizing `up` [N, P^2] and phi number [] are data: codes [B, N, C] -> [B, C, P, P]. */
  #addition(codes: Tensor, up: Tensor, phi: Tensor): Tensor {
    const c = this.#config.zChannels;
    const h = this.#map(matmul(siteRows(codes), up), this.side);
    if (Math.abs(this.#config.quantResi) <= 1e-6) return h;
    const { count } = phiAssignment(this.plan.groups.length, this.#config.shareQuantResi);
    const all = Array.from({ length: count }, (_, k) => this.#phiWeights(k));
    const weights = concat(
      all.map(({ weight }) => reshape(weight, [1, c, c, 3, 3])),
      0,
    );
    const biases = concat(
      all.map(({ bias }) => reshape(bias, [1, c])),
      0,
    );
    return this.#applyPhi(h, gatherRows(weights, phi), gatherRows(biases, phi));
  }

  /** A map [B, C, P, P] at the sites that `down` [P^2, M] pools to: [B, M, C]. */
  #poolBy(map: Tensor, down: Tensor): Tensor {
    const pooled = matmul(reshape(map, [-1, this.side ** 2]), down); // (B * C, M)
    const shape = [dimOf(map, 0), this.#config.zChannels, dimOf(down, 1)];
    return transpose(reshape(pooled, shape), [0, 2, 1]); // (B, M, C)
  }

  /** What codes [B, N, C] of one scale add by themselves, at the sites of `down` [P^2, N]: [B, N, C]. */
  ownStep(codes: Tensor, up: Tensor, down: Tensor, phi: Tensor): Tensor {
    return this.#poolBy(this.#addition(codes, up, phi), down);
  }

  /**
   * One generation step for any scale: adds the codes of a scale and pools for the next. Schedules are data: `up`
   * [N, P^2] and `down` [P^2, M] are resizing matrices, `phi` [] the phi convolution's number.
   * codes [B, N, C], total [B, C, P, P] -> new total and next input [B, M, C].
   */
  advance(
    codes: Tensor,
    total: Tensor,
    up: Tensor,
    down: Tensor,
    phi: Tensor,
  ): { total: Tensor; next: Tensor } {
    const sum = add(total, this.#addition(codes, up, phi));
    return { total: sum, next: this.#poolBy(sum, down) };
  }
}

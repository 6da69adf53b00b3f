/**
 * The graphs of a multi-scale tokenizer that get compiled: encode, quantise, decode, and the step from one scale to the
 * next, whose resizers enter as data. Shape letters: B pictures, L tokens, N sites of a scale, K of the next, S scales,
 * C code width, P finest side, W width of a transformer.
 */

import type { Scale } from "../plan/types.ts";
import { trace } from "../runtime/trace.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { symbol } from "../tensor/dims.ts";
import { add, maximum, minimum } from "../tensor/ops/elementwise.ts";
import { concat, reshape } from "../tensor/ops/structure.ts";
import { float32, int32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
import type { MultiScaleTokenizer } from "./multiScaleTokenizer.ts";
import { phiAssignment } from "./multiScaleVq.ts";
import { areaMatrix, bicubicMatrix } from "./resize.ts";

const B = symbol("B");

function pictures(tokenizer: MultiScaleTokenizer): TensorSpec {
  const side = tokenizer.imageSize;
  return float32(B, tokenizer.config.inChannels, side, side);
}

/** Pictures -> features [B, C, P, P]. */
export function encodeGraph(tokenizer: MultiScaleTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => ({ features: tokenizer.encode(images) }));
}

const stacked = (maps: readonly Tensor[]): Tensor =>
  concat(
    maps.map((map) => reshape(map, [B, 1, ...map.shape.slice(1)])),
    1,
  ); // (B, S, C, P, P)

/** Pictures -> ids [B, L] of all scales and the running reconstructions of the features. */
export function tokenizeGraph(tokenizer: MultiScaleTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => {
    const { ids, reconstructions } = tokenizer.quantise(tokenizer.encode(images));
    return { ids: concat(ids, 1), reconstructions: stacked(reconstructions) };
  });
}

/** Ids [B, L] -> running reconstructions (B, S, C, P, P). */
export function reconstructGraph(tokenizer: MultiScaleTokenizer) {
  return trace({ ids: int32(B, tokenizer.plan.length) }, ({ ids }) => ({
    reconstructions: stacked(tokenizer.vq.reconstruct(ids)),
  }));
}

/** Features [B, C, P, P] -> pictures clamped to [-1, 1]. */
export function decodeGraph(tokenizer: MultiScaleTokenizer) {
  const side = tokenizer.vq.side;
  return trace({ features: float32(B, tokenizer.config.zChannels, side, side) }, ({ features }) => ({
    images: maximum(minimum(tokenizer.decode(features), 1), -1),
  }));
}

/** Pictures -> the same through encoder, quantiser and decoder, not clamped. */
export function roundTripGraph(tokenizer: MultiScaleTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => {
    const { reconstructions } = tokenizer.quantise(tokenizer.encode(images));
    return { images: tokenizer.decode(reconstructions.at(-1) as Tensor) }; // at least one scale
  });
}

/** What turns codes into a transformer's input. */
interface CodeEmbedding {
  readonly width: number;
  /** Codes [B, N, C] -> [B, N, W]. */
  embed(codes: Tensor): Tensor;
}

/** Codes of a scale [B, N, C] -> new running reconstruction, and the next scale's input as codes and embedded [B, K, W]. */
export function advanceGraph(tokenizer: MultiScaleTokenizer, model: CodeEmbedding) {
  const { zChannels } = tokenizer.config;
  const side = tokenizer.vq.side;
  const [N, K] = [symbol("N"), symbol("K")];
  return trace(
    {
      codes: float32(B, N, zChannels),
      total: float32(B, zChannels, side, side),
      up: float32(N, side * side),
      down: float32(side * side, K),
      phi: int32(),
      positions: float32(1, K, model.width),
    },
    ({ codes, total, up, down, phi, positions }) => {
      const step = tokenizer.vq.advance(codes, total, up, down, phi);
      return { total: step.total, next: step.next, x: add(model.embed(step.next), positions) };
    },
  );
}

/** The running reconstruction before the first scale: zeros [B, C, P, P]. */
export function emptyTotal({ vq, config: { zChannels } }: MultiScaleTokenizer, batch: number): Value {
  return floats(new Float32Array(batch * zChannels * vq.side ** 2), [batch, zChannels, vq.side, vq.side]);
}

/** Resizers and phi of a step: codes of `scale` come in, the map goes out at `next` (nothing goes out without one). */
export function stepMatrices(
  { plan, vq, config }: MultiScaleTokenizer,
  scale: Scale,
  next: Scale | undefined,
) {
  const { ids: phis } = phiAssignment(plan.groups.length, config.shareQuantResi);
  const sites = vq.side ** 2;
  return {
    up: floats(bicubicMatrix(scale.side, vq.side), [scale.size, sites]),
    down: floats(next ? areaMatrix(vq.side, next.side) : new Float32Array(0), [sites, next?.size ?? 0]),
    phi: ints([phis[scale.index] ?? 0], []),
  };
}

/** Rows of a scale [1, N, W] from the table of all positions [L * W]; none without a scale. */
export function positionsOf(table: Float32Array, scale: Scale | undefined, width: number): Value {
  const { start = 0, size = 0 } = scale ?? {};
  return floats(table.subarray(start * width, (start + size) * width), [1, size, width]);
}

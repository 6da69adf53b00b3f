/**
 * The graphs of VAR that get compiled besides those of cached generation: tokenizer (encode, quantise, decode), positions,
 * and the step from one scale to the next. Resizers enter as data. Shape letters: B pictures, N sites, C width.
 */
import { trace } from "../../runtime/trace.ts";
import { symbol } from "../../tensor/dims.ts";
import { add, maximum, minimum } from "../../tensor/ops/elementwise.ts";
import { concat, reshape } from "../../tensor/ops/structure.ts";
import { float32, int32, type Tensor, type TensorSpec } from "../../tensor/tensor.ts";
import type { VarTransformer } from "./model.ts";
import type { VarTokenizer } from "./tokenizer.ts";

const B = symbol("B");

function pictures(tokenizer: VarTokenizer): TensorSpec {
  const side = tokenizer.imageSize;
  return float32(B, tokenizer.config.inChannels, side, side);
}

/** Pictures -> features [B, C, P, P]. */
export function encodeGraph(tokenizer: VarTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => ({ features: tokenizer.encode(images) }));
}

/** Pictures -> ids [B, L] of all scales and the final reconstruction of the features. */
export function tokenizeGraph(tokenizer: VarTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => {
    const { ids, reconstructions } = tokenizer.quantise(tokenizer.encode(images));
    return {
      ids: concat(ids, 1),
      reconstructions: concat(
        reconstructions.map((map) => reshape(map, [B, 1, ...map.shape.slice(1)])),
        1,
      ), // (B, S, C, P, P)
    };
  });
}

/** Ids [B, L] -> running reconstructions (B, S, C, P, P). */
export function reconstructGraph(tokenizer: VarTokenizer) {
  return trace({ ids: int32(B, tokenizer.plan.length) }, ({ ids }) => ({
    reconstructions: concat(
      tokenizer.vq.reconstruct(ids).map((map) => reshape(map, [B, 1, ...map.shape.slice(1)])),
      1,
    ),
  }));
}

/** Features [B, C, P, P] -> pictures clamped to [-1, 1]. */
export function decodeGraph(tokenizer: VarTokenizer) {
  const side = tokenizer.vq.side;
  return trace({ features: float32(B, tokenizer.config.zChannels, side, side) }, ({ features }) => ({
    images: maximum(minimum(tokenizer.decode(features), 1), -1),
  }));
}

/** Pictures -> the same through encoder, quantiser and decoder, not clamped. */
export function roundTripGraph(tokenizer: VarTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => {
    const { reconstructions } = tokenizer.quantise(tokenizer.encode(images));
    return { images: tokenizer.decode(reconstructions.at(-1) as Tensor) }; // at least one scale
  });
}

/** The position table [1, L, C] (levels included), computed once. */
export function positionsGraph(model: VarTransformer) {
  return trace({}, () => ({ positions: model.positions() }));
}

/** Codes of a scale [B, N, Cz] -> new running reconstruction and the embedded next scale [B, K, C]. */
export function advanceGraph(tokenizer: VarTokenizer, model: VarTransformer) {
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
      positions: float32(1, K, model.config.embedDim),
    },
    ({ codes, total, up, down, phi, positions }) => {
      const step = tokenizer.vq.advance(codes, total, up, down, phi);
      return { total: step.total, next: step.next, x: add(model.embed(step.next), positions) };
    },
  );
}

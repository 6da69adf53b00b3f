/**
 * The graphs of FlexVAR that get compiled besides those of cached generation and training. Schedules enter as data: the
 * same program serves every side. Shape letters: B pictures, N sites, K sites of the next scale, C width, P latent side.
 */

import { resampleSites } from "../../codec/scaleMatrices.ts";
import { trace } from "../../runtime/trace.ts";
import { symbol } from "../../tensor/dims.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { float32 } from "../../tensor/tensor.ts";
import type { FlexTransformer } from "./model.ts";
import type { FlexTokenizer } from "./tokenizer.ts";

const B = symbol("B");

/** Pictures [B, 3, S, S] -> latents [B, C, P, P]. */
export function encodeGraph(tokenizer: FlexTokenizer, imageSize = tokenizer.imageSize) {
  return trace({ images: float32(B, tokenizer.config.inChannels, imageSize, imageSize) }, ({ images }) => ({
    features: tokenizer.encode(images),
  }));
}

/** Pictures [B, 3, S, S], pooling [P^2, L] of a schedule -> ids [B, L]. */
export function tokenizeGraph(tokenizer: FlexTokenizer, imageSize = tokenizer.imageSize) {
  const sites = (imageSize / tokenizer.factor) ** 2;
  const images = float32(B, tokenizer.config.inChannels, imageSize, imageSize);
  return trace({ images, pool: float32(sites, "L") }, ({ images: pictures, pool }) => ({
    ids: tokenizer.quantise(tokenizer.encode(pictures), pool),
  }));
}

/** Pictures and the resizing `rows` [P, p] of one axis -> the same through encoder, quantiser and decoder, not clamped. */
export function roundTripGraph(tokenizer: FlexTokenizer) {
  const { imageSize, config } = tokenizer;
  const specs = {
    images: float32(B, config.inChannels, imageSize, imageSize),
    rows: float32(config.latentSide, "p"),
  };
  return trace(specs, ({ images, rows }) => ({
    images: tokenizer.forward(tokenizer.encode(images), rows).reconstruction,
  }));
}

/** The codebook as sites use it [V, C]. */
export function codesGraph(tokenizer: FlexTokenizer) {
  return trace({}, () => ({ codes: tokenizer.vq.codes }));
}

/** Code maps [B, C, p, p] of any side -> pictures [B, 3, p f, p f], not clamped. */
export function decodeGraph(tokenizer: FlexTokenizer) {
  return trace({ features: float32(B, tokenizer.config.codeWidth, "P", "P") }, ({ features }) => ({
    images: tokenizer.decode(features),
  }));
}

/** Pooling `place` [T^2, L] of a schedule -> positions [1, L, C]. */
export function positionsGraph(model: FlexTransformer) {
  return trace({ place: float32(model.config.positionSide ** 2, "L") }, ({ place }) => ({
    positions: model.positions(place),
  }));
}

/** Codes of a scale [B, N, codeWidth], its resizing `next` [N, K] and positions -> embedded next scale [B, K, C]. */
export function advanceGraph(tokenizer: FlexTokenizer, model: FlexTransformer) {
  const specs = {
    codes: float32(B, "N", tokenizer.config.codeWidth),
    next: float32("N", "K"),
    positions: float32(1, "K", model.width),
  };
  return trace(specs, ({ codes, next, positions }) => ({
    x: add(model.embed(resampleSites(tokenizer.vq.unit(codes), next)), positions),
  }));
}

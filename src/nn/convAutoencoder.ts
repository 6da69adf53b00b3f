/**
 * The convolutional encoder and decoder of VQGAN as VAR uses them (`models/basic_vae.py`), with the official names.
 * `patchSize` p > 1 is ours: both nets work on p x p blocks of pixels as channels, so a small tokenizer leaves full
 * resolution at once (3 x 3 convolutions there are the slowest thing a CPU meets). p = 1 is the official form.
 */
import { type Dim, divDims, mulDims } from "../tensor/dims.ts";
import { NextxError } from "../tensor/errors.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { matmul, upsampleNearest } from "../tensor/ops/linear.ts";
import { silu, softmax } from "../tensor/ops/neural.ts";
import { reshape, split, transpose } from "../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";
import { conv, groupNorm } from "./layers.ts";
import type { Scope } from "./scope.ts";

export interface AutoencoderConfig {
  /** Channels of the highest resolution. */
  readonly ch: number;
  /** Channel factor per level, highest resolution first; each level but the last halves the side. */
  readonly chMult: readonly number[];
  /** Residual blocks per encoder level; the decoder has one more. */
  readonly numResBlocks: number;
  readonly inChannels: number;
  readonly zChannels: number;
  /** Groups of every group normalisation. */
  readonly numGroups: number;
  readonly patchSize: number;
}

/** Pixels per latent site along one side. */
export function downsampleFactor(config: AutoencoderConfig): number {
  return config.patchSize * 2 ** (config.chMult.length - 1);
}

/** p x p blocks of pixels to channels: [B, C, H, W] -> [B, C p p, H / p, W / p]. */
export function pixelUnshuffle(x: Tensor, p: number): Tensor {
  if (p === 1) return x;
  const [b, c, h, w] = x.shape as [Dim, Dim, Dim, Dim];
  const [rows, columns] = [divDims(h, p), divDims(w, p)];
  if (rows === undefined || columns === undefined) {
    throw new NextxError(
      "SHAPE_MISMATCH",
      `A ${String(h)} x ${String(w)} picture has no ${p} x ${p} blocks.`,
    );
  }
  const blocks = transpose(reshape(x, [b, c, rows, p, columns, p]), [0, 1, 3, 5, 2, 4]); // (B, C, p, p, H/p, W/p)
  return reshape(blocks, [b, mulDims(c, p * p), rows, columns]);
}

/** Inverse of `pixelUnshuffle`: [B, C p p, h, w] -> [B, C, h p, w p]. */
export function pixelShuffle(x: Tensor, p: number): Tensor {
  if (p === 1) return x;
  const [b, , h, w] = x.shape as [Dim, Dim, Dim, Dim];
  const channels = staticDim(dimOf(x, 1), "pixelShuffle") / (p * p);
  const blocks = transpose(reshape(x, [b, channels, p, p, h, w]), [0, 1, 4, 2, 5, 3]); // (B, C, h, p, w, p)
  return reshape(blocks, [b, channels, mulDims(h, p), mulDims(w, p)]);
}

function resnetBlock(scope: Scope, x: Tensor, out: number, groups: number): Tensor {
  const inside = staticDim(dimOf(x, 1), "A residual block");
  const h = conv(scope.in("conv1"), silu(groupNorm(scope.in("norm1"), x, groups)), out, 3);
  const residual = conv(scope.in("conv2"), silu(groupNorm(scope.in("norm2"), h, groups)), out, 3);
  const shortcut = inside === out ? x : conv(scope.in("nin_shortcut"), x, out, 1);
  return add(shortcut, residual);
}

/** Single-head self-attention over the sites of a map. */
function attnBlock(scope: Scope, x: Tensor, groups: number): Tensor {
  const channels = staticDim(dimOf(x, 1), "Attention");
  const [b, , h, w] = x.shape as [Dim, Dim, Dim, Dim];
  const qkv = conv(scope.in("qkv"), groupNorm(scope.in("norm"), x, groups), 3 * channels, 1);
  const flat = reshape(qkv, [b, 3 * channels, mulDims(h, w)]);
  const [q, k, v] = split(flat, 1, [channels, channels, channels]) as [Tensor, Tensor, Tensor]; // each (B, C, HW)
  const weights = softmax(mul(matmul(q, k, true, false), channels ** -0.5)); // (B, HW query, HW key)
  const mixed = reshape(matmul(v, weights, false, true), x.shape);
  return add(x, conv(scope.in("proj_out"), mixed, channels, 1));
}

function middle(scope: Scope, x: Tensor, groups: number): Tensor {
  const channels = staticDim(dimOf(x, 1), "The middle");
  const h = attnBlock(scope.in("attn_1"), resnetBlock(scope.in("block_1"), x, channels, groups), groups);
  return resnetBlock(scope.in("block_2"), h, channels, groups);
}

/** Pictures [B, 3, H, W] in [-1, 1] -> [B, zChannels, H / f, W / f]. Source: code, `Encoder`. */
export function encoder(scope: Scope, images: Tensor, config: AutoencoderConfig): Tensor {
  const { ch, chMult, numResBlocks, numGroups } = config;
  const last = chMult.length - 1;
  let h = conv(scope.in("conv_in"), pixelUnshuffle(images, config.patchSize), ch, 3);
  chMult.forEach((factor, level) => {
    const down = scope.in("down", level);
    for (let i = 0; i < numResBlocks; i++) {
      h = resnetBlock(down.in("block", i), h, ch * factor, numGroups);
      if (level === last) h = attnBlock(down.in("attn", i), h, numGroups);
    }
    if (level !== last)
      h = conv(down.in("downsample", "conv"), h, ch * factor, 3, { stride: 2, pads: [0, 0, 1, 1] });
  });
  h = middle(scope.in("mid"), h, numGroups);
  return conv(scope.in("conv_out"), silu(groupNorm(scope.in("norm_out"), h, numGroups)), config.zChannels, 3);
}

/** Latents [B, zChannels, h, w] -> pictures [B, 3, h f, w f], not clamped. Source: code, `Decoder`. */
export function decoder(scope: Scope, latents: Tensor, config: AutoencoderConfig): Tensor {
  const { ch, chMult, numResBlocks, numGroups, patchSize } = config;
  const last = chMult.length - 1;
  let h = conv(scope.in("conv_in"), latents, ch * (chMult[last] as number), 3); // at least one level
  h = middle(scope.in("mid"), h, numGroups);
  for (let level = last; level >= 0; level--) {
    const up = scope.in("up", level);
    const width = ch * (chMult[level] as number); // level in range
    for (let i = 0; i <= numResBlocks; i++) {
      h = resnetBlock(up.in("block", i), h, width, numGroups);
      if (level === last) h = attnBlock(up.in("attn", i), h, numGroups);
    }
    if (level > 0) h = conv(up.in("upsample", "conv"), upsampleNearest(h, 2), width, 3);
  }
  const out = config.inChannels * patchSize * patchSize;
  const pixels = conv(scope.in("conv_out"), silu(groupNorm(scope.in("norm_out"), h, numGroups)), out, 3);
  return pixelShuffle(pixels, patchSize);
}

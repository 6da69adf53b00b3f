/**
 * The convolutional encoder and decoder of VQGAN. Published tokenizers name and order the same blocks differently: a
 * `Layout` says where each block's parameters are, and which attention it has. `patchSize` p > 1 is ours: both nets work on p x p blocks of pixels as channels, so a small tokenizer leaves full
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
  /** Level with attention after every block, where the layout has one; the last when absent. */
  readonly attendedLevel?: number | undefined;
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

/** Normalised sites x [B, C, H, W] -> queries, keys and values, [B, C, H W] each. */
type Projections = (scope: Scope, x: Tensor) => readonly [Tensor, Tensor, Tensor];

/** Where the parameters of one net are. Levels count from the highest resolution. */
export interface Layout {
  res(net: Scope, level: number, i: number): Scope;
  /** Of the attention after every block of one level; absent where there is none. */
  attn?(net: Scope, level: number, i: number): Scope;
  /** Of the convolution that halves or doubles the side after a level. */
  resample(net: Scope, level: number): Scope;
  /** Block, attention, block. */
  readonly middle: readonly [string, string, string];
  readonly projections: Projections;
}

const flatten = (x: Tensor): Tensor => {
  const [b, c, h, w] = x.shape as [Dim, Dim, Dim, Dim];
  return reshape(x, [b, c, mulDims(h, w)]);
};

/** One convolution for all three. Source: VAR `models/basic_vae.py` (code). */
const jointProjections: Projections = (scope, x) => {
  const channels = staticDim(dimOf(x, 1), "Attention");
  const joint = flatten(conv(scope.in("qkv"), x, 3 * channels, 1));
  return split(joint, 1, [channels, channels, channels]) as [Tensor, Tensor, Tensor]; // three parts
};

/** One convolution each. Source: LlamaGen `vq_model.py` (code). */
const separateProjections: Projections = (scope, x) => {
  const channels = staticDim(dimOf(x, 1), "Attention");
  return [
    flatten(conv(scope.in("q"), x, channels, 1)),
    flatten(conv(scope.in("k"), x, channels, 1)),
    flatten(conv(scope.in("v"), x, channels, 1)),
  ];
};

/** VAR's names for one net, `down` or `up`. Source: `models/basic_vae.py` (code). */
export function varLayout(net: "down" | "up"): Layout {
  return {
    res: (scope, level, i) => scope.in(net, level, "block", i),
    attn: (scope, level, i) => scope.in(net, level, "attn", i),
    resample: (scope, level) => scope.in(net, level, net === "down" ? "downsample" : "upsample", "conv"),
    middle: ["block_1", "attn_1", "block_2"],
    projections: jointProjections,
  };
}

/** Latent diffusion's autoencoder: as VAR's, a projection each, no attention in the decoder's levels. Source: MAR `models/vae.py` (code). */
export function vaeLayout(net: "down" | "up"): Layout {
  const { attn, ...rest } = varLayout(net);
  return { ...rest, ...(net === "down" && attn && { attn }), projections: separateProjections };
}

/** LlamaGen's names for a net of `levels` levels; its decoder counts from the lowest resolution. Source: code. */
export function llamaGenLayout(net: "down" | "up", levels: number): Layout {
  const place = (level: number) => (net === "down" ? level : levels - 1 - level);
  const block = (scope: Scope, level: number) => scope.in("conv_blocks", place(level));
  return {
    res: (scope, level, i) => block(scope, level).in("res", i),
    attn: (scope, level, i) => block(scope, level).in("attn", i),
    resample: (scope, level) => block(scope, level).in(net === "down" ? "downsample" : "upsample", "conv"),
    middle: ["0", "1", "2"],
    projections: separateProjections,
  };
}

/** Single-head self-attention over the sites of a map. */
function attnBlock(scope: Scope, x: Tensor, groups: number, projections: Projections): Tensor {
  const channels = staticDim(dimOf(x, 1), "Attention");
  const [q, k, v] = projections(scope, groupNorm(scope.in("norm"), x, groups));
  const weights = softmax(mul(matmul(q, k, true, false), channels ** -0.5)); // (B, HW query, HW key)
  const mixed = reshape(matmul(v, weights, false, true), x.shape);
  return add(x, conv(scope.in("proj_out"), mixed, channels, 1));
}

function middle(scope: Scope, x: Tensor, groups: number, { middle: names, projections }: Layout): Tensor {
  const channels = staticDim(dimOf(x, 1), "The middle");
  const first = resnetBlock(scope.in(names[0]), x, channels, groups);
  return resnetBlock(
    scope.in(names[2]),
    attnBlock(scope.in(names[1]), first, groups, projections),
    channels,
    groups,
  );
}

/** Pictures [B, 3, H, W] in [-1, 1] -> [B, zChannels, H / f, W / f]; sides may be symbolic in units of f. */
export function encoder(scope: Scope, images: Tensor, config: AutoencoderConfig, layout: Layout): Tensor {
  const { ch, chMult, numResBlocks, numGroups } = config;
  const last = chMult.length - 1;
  const attended = config.attendedLevel ?? last;
  let h = conv(scope.in("conv_in"), pixelUnshuffle(images, config.patchSize), ch, 3);
  chMult.forEach((factor, level) => {
    for (let i = 0; i < numResBlocks; i++) {
      h = resnetBlock(layout.res(scope, level, i), h, ch * factor, numGroups);
      if (level === attended && layout.attn)
        h = attnBlock(layout.attn(scope, level, i), h, numGroups, layout.projections);
    }
    if (level !== last)
      h = conv(layout.resample(scope, level), h, ch * factor, 3, { stride: 2, pads: [0, 0, 1, 1] });
  });
  h = middle(scope.in("mid"), h, numGroups, layout);
  return conv(scope.in("conv_out"), silu(groupNorm(scope.in("norm_out"), h, numGroups)), config.zChannels, 3);
}

/** Latents [B, zChannels, h, w] of any side -> pictures [B, 3, h f, w f], not clamped. */
export function decoder(scope: Scope, latents: Tensor, config: AutoencoderConfig, layout: Layout): Tensor {
  const { ch, chMult, numResBlocks, numGroups, patchSize } = config;
  const last = chMult.length - 1;
  const attended = config.attendedLevel ?? last;
  let h = conv(scope.in("conv_in"), latents, ch * (chMult[last] as number), 3); // at least one level
  h = middle(scope.in("mid"), h, numGroups, layout);
  for (let level = last; level >= 0; level--) {
    const width = ch * (chMult[level] as number); // level in range
    for (let i = 0; i <= numResBlocks; i++) {
      h = resnetBlock(layout.res(scope, level, i), h, width, numGroups);
      if (level === attended && layout.attn)
        h = attnBlock(layout.attn(scope, level, i), h, numGroups, layout.projections);
    }
    if (level > 0) h = conv(layout.resample(scope, level), upsampleNearest(h, 2), width, 3);
  }
  const out = config.inChannels * patchSize * patchSize;
  const pixels = conv(scope.in("conv_out"), silu(groupNorm(scope.in("norm_out"), h, numGroups)), out, 3);
  return pixelShuffle(pixels, patchSize);
}

/**
 * A small residual convolutional classifier with several heads, for pictures that are powers of two of a 16 x 16 map of
 * patches: it leaves full resolution at once. Before the heads the map is flattened, not averaged, so that where things
 * are is kept. Group normalisation: nothing depends on the batch. Source: He et al. 2016, "Identity Mappings in Deep
 * Residual Networks" (pre-activation blocks); Wu and He 2018, "Group Normalization".
 */
import { add } from "../tensor/ops/elementwise.ts";
import { silu } from "../tensor/ops/neural.ts";
import { reshape } from "../tensor/ops/structure.ts";
import { dimOf, type Tensor } from "../tensor/tensor.ts";
import { pixelUnshuffle } from "./convAutoencoder.ts";
import { conv, groupNorm, linear } from "./layers.ts";
import type { Scope } from "./scope.ts";

/** One question that the classifier answers. */
export interface ClassifierHead {
  readonly name: string;
  readonly classes: number;
}

export interface ConvClassifierConfig {
  /** Side of the pictures: a multiple of 16. */
  readonly imageSize: number;
  /** Channels at 16 x 16, 8 x 8 and 4 x 4 sites. */
  readonly widths: readonly [number, number, number];
  /** Residual blocks per resolution. */
  readonly numResBlocks: number;
  readonly numGroups: number;
  /** Size of the features. */
  readonly dims: number;
  readonly heads: readonly ClassifierHead[];
}

const mapSide = 16;
const lastSide = 4;
const lastChannels = 32;

function residual(scope: Scope, x: Tensor, width: number, groups: number): Tensor {
  const h = conv(scope.in("conv1"), silu(groupNorm(scope.in("norm1"), x, groups)), width, 3);
  return add(x, conv(scope.in("conv2"), silu(groupNorm(scope.in("norm2"), h, groups)), width, 3));
}

/** Features [B, dims] (before the last activation) and one row of logits [B, classes] per head. */
export interface ClassifierOutputs {
  readonly features: Tensor;
  readonly logits: readonly Tensor[];
}

/** pictures [B, 3, imageSize, imageSize] in [-1, 1] -> features and logits. Errors: SHAPE_MISMATCH for other sides. */
export function convClassifier(
  scope: Scope,
  pictures: Tensor,
  config: ConvClassifierConfig,
): ClassifierOutputs {
  const { widths, numResBlocks, numGroups, dims, heads, imageSize } = config;
  let x = pixelUnshuffle(pictures, imageSize / mapSide); // (B, 3 p p, 16, 16)
  for (const [level, width] of widths.entries()) {
    const at = scope.in("levels", level);
    x =
      level === 0
        ? conv(at.in("conv_in"), x, width, 3)
        : conv(at.in("downsample"), x, width, 3, { stride: 2, pads: [0, 0, 1, 1] });
    for (let i = 0; i < numResBlocks; i++) x = residual(at.in("blocks", i), x, width, numGroups);
  }
  const narrow = conv(
    scope.in("conv_out"),
    silu(groupNorm(scope.in("norm_out"), x, numGroups)),
    lastChannels,
    1,
  );
  const flat = reshape(narrow, [dimOf(x, 0), lastChannels * lastSide * lastSide]); // (B, 512)
  const features = linear(scope.in("features"), flat, dims);
  const active = silu(features);
  return {
    features,
    logits: heads.map(({ name, classes }) => linear(scope.in("heads", name), active, classes)),
  };
}

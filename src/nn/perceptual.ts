/**
 * A perceptual distance: features of both pictures at several layers of a frozen network, each site's vector at unit length,
 * squared differences weighted per channel, averaged over sites, summed over layers.
 * Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", equation 1, with the
 * layers of its SqueezeNet variant. Their channel weights were fitted to another training run of SqueezeNet than the one
 * read here, so the distance is like LPIPS and not LPIPS itself.
 */
import type { HostTensor } from "../formats/hostTensor.ts";
import { add, div, mul, sqrt, square, sub } from "../tensor/ops/elementwise.ts";
import { mean } from "../tensor/ops/neural.ts";
import { concat, split, sum } from "../tensor/ops/structure.ts";
import { dimOf, input, type Tensor } from "../tensor/tensor.ts";
import { vectorOf } from "./foreignWeights.ts";
import type { Weights } from "./scope.ts";
import { squeezeNetLayers, squeezeNetWeights } from "./squeezeNet.ts";

/** A frozen judge of reconstructions. */
export interface PerceptualLoss {
  readonly weights: Weights;
  /** Pictures [B, 3, n, n] in [-1, 1], n at least 31 -> the mean distance over the batch, a scalar. */
  readonly distance: (reconstruction: Tensor, images: Tensor) => Tensor;
}

/** Tensors of a weights file that a data folder holds, by path below it. @throws NextxError DATA_, FILE_, SAFETENSORS_ */
export type ReadWeights = (path: string) => Promise<ReadonlyMap<string, HostTensor>>;

/** Layers of `squeezeNetLayers` that count (conv1, fire3, fire5 to fire9), and their channels. */
const taps = [
  [0, 64],
  [2, 128],
  [4, 256],
  [5, 384],
  [6, 384],
  [7, 512],
  [8, 512],
] as const;

const channelWeights = (tap: number): string => `squeeze/lin${tap}`;

/** The authors add 1e-10 to the length itself; under the root it also keeps the gradient of an all-zero site finite. */
function unitLength(x: Tensor): Tensor {
  return div(x, sqrt(add(sum(square(x), [1], true), 1e-10)));
}

function distance(reconstruction: Tensor, images: Tensor): Tensor {
  const count = dimOf(images, 0);
  const layers = squeezeNetLayers(mul(add(concat([reconstruction, images], 0), 1), 127.5)); // 2 B pictures
  return taps
    .map(([layer, channels], tap) => {
      const unit = unitLength(layers[layer] as Tensor); // nine layers
      const [ours, theirs] = split(unit, 0, [count, count]) as [Tensor, Tensor];
      const weight = input(channelWeights(tap), { dtype: "float32", shape: [channels, 1, 1] });
      return mean(sum(mul(square(sub(ours, theirs)), weight), [1]));
    })
    .reduce((a, b) => add(a, b));
}

/** Reads the network and the channel weights. @throws NextxError what `read` throws, CHECKPOINT_ codes */
export async function openPerceptualLoss(read: ReadWeights): Promise<PerceptualLoss> {
  const weights: Weights = squeezeNetWeights(
    await read("weights-squeezenet-1.1/squeezenet-1.1-notop.safetensors"),
  );
  const linear = await read("weights-lpips-lin/lpips-lin-v0.1.safetensors");
  for (const [tap, [, channels]] of taps.entries()) {
    const name = channelWeights(tap);
    weights.set(name, { ...vectorOf(linear, name, channels), shape: [channels, 1, 1] });
  }
  return { weights, distance };
}

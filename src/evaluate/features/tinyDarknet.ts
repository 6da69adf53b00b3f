/**
 * Tiny Darknet, an ImageNet classifier: 16 convolutions with batch normalisation and leaky ReLU 0.1, four 2 x 2 pools.
 * Source: Redmon, pjreddie.com/darknet/tiny-darknet; weights as ml5.js converted them (kernels h, w, in, out; epsilon
 * 0.001). Input: RGB / 255. Logits are in Darknet's order of classes.
 */
import type { HostTensor } from "../../formats/hostTensor.ts";
import { kernelHwio, vectorOf } from "../../nn/foreignWeights.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { maximum, mul } from "../../tensor/ops/elementwise.ts";
import { conv2dBias } from "../../tensor/ops/linear.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { maxPool2d } from "../../tensor/ops/window.ts";
import { dimOf, input, staticDim, type Tensor } from "../../tensor/tensor.ts";

/** Output channels and kernel side of conv2d_1 to conv2d_16. */
const convs = [
  [16, 3],
  [32, 3],
  [16, 1],
  [128, 3],
  [16, 1],
  [128, 3],
  [32, 1],
  [256, 3],
  [32, 1],
  [256, 3],
  [64, 1],
  [512, 3],
  [64, 1],
  [512, 3],
  [128, 1],
  [1000, 1],
] as const;
const pooledAfter: ReadonlySet<number> = new Set([1, 2, 6, 10]);
const featureLayer = 14;
const lastLayer = convs.length;
const epsilon = 0.001;

/** Kernel and bias of each layer, batch normalisation folded in. @throws NextxError CHECKPOINT_ codes */
export function tinyDarknetWeights(tensors: ReadonlyMap<string, HostTensor>): Map<string, Value> {
  const weights = new Map<string, Value>();
  for (const [i, [out]] of convs.entries()) {
    const kernel = kernelHwio(tensors, `conv2d_${i + 1}/kernel`);
    const folded =
      i + 1 === lastLayer
        ? { kernel, bias: vectorOf(tensors, `conv2d_${i + 1}/bias`, out) }
        : fold(kernel, tensors, `batch_normalization_${i + 1}`, out);
    weights.set(`conv2d_${i + 1}/kernel`, folded.kernel);
    weights.set(`conv2d_${i + 1}/bias`, folded.bias);
  }
  return weights;
}

/** gamma (w x - mean) / sqrt(variance + epsilon) + beta as one kernel and bias. */
function fold(kernel: Value, tensors: ReadonlyMap<string, HostTensor>, name: string, out: number) {
  const part = (key: string) => vectorOf(tensors, `${name}/${key}`, out).data;
  const [gamma, beta, average, variance] = [
    part("gamma"),
    part("beta"),
    part("moving_mean"),
    part("moving_variance"),
  ];
  const at = (data: ArrayLike<number>, i: number) => data[i] as number; // out entries each
  const scale = Float64Array.from(gamma, (g, i) => g / Math.sqrt(at(variance, i) + epsilon));
  const perChannel = kernel.data.length / out;
  return {
    kernel: floats(
      Float32Array.from(kernel.data, (w, i) => w * at(scale, Math.floor(i / perChannel))),
      kernel.shape,
    ),
    bias: floats(
      Float32Array.from(beta, (b, i) => b - at(average, i) * at(scale, i)),
      [out],
    ),
  };
}

/** pictures [B, 3, n, n], RGB, 0 to 255, n a multiple of 16 -> mean of leaky_re_lu_14 [B, 512], logits [B, 1000]. */
export function tinyDarknet(pictures: Tensor): { features: Tensor; logits: Tensor } {
  let x = mul(pictures, 1 / 255);
  let features = x;
  for (const [i, [out, kernel]] of convs.entries()) {
    const layer = i + 1;
    const inside = staticDim(dimOf(x, 1), "Tiny Darknet");
    const weight = input(`conv2d_${layer}/kernel`, {
      dtype: "float32",
      shape: [out, inside, kernel, kernel],
    });
    const half = (kernel - 1) / 2;
    x = conv2dBias(x, weight, input(`conv2d_${layer}/bias`, { dtype: "float32", shape: [out] }), {
      pads: [half, half, half, half],
    });
    if (layer === lastLayer) break;
    x = maximum(x, mul(x, 0.1));
    if (pooledAfter.has(layer)) x = maxPool2d(x, 2);
    if (layer === featureLayer) features = mean(x, [2, 3]);
  }
  return { features, logits: mean(x, [2, 3]) };
}

/**
 * SqueezeNet 1.1 up to fire9, the authors' Caffe weights without conv10: features only, no logits.
 * Source: Iandola et al. 2016, "SqueezeNet"; github.com/forresti/SqueezeNet, SqueezeNet_v1.1; weights as in
 * DeepCognition/keras-squeezenet (kernels h, w, in, out). Input: BGR minus 103.939, 116.779, 123.68, scale 0 to 255.
 */
import type { HostTensor } from "../formats/hostTensor.ts";
import type { Value } from "../runtime/values.ts";
import type { Dim } from "../tensor/dims.ts";
import { maximum, sub } from "../tensor/ops/elementwise.ts";
import { conv2dBias } from "../tensor/ops/linear.ts";
import { mean } from "../tensor/ops/neural.ts";
import { concat, pad, split } from "../tensor/ops/structure.ts";
import { maxPool2d } from "../tensor/ops/window.ts";
import { constant, dimOf, input, staticDim, type Tensor } from "../tensor/tensor.ts";
import { kernelHwio, vectorOf } from "./foreignWeights.ts";

/** Widths of squeeze and expand layers of fire2 to fire9; a pool comes before fire2, fire4 and fire6. */
const fires = [
  [16, 64],
  [16, 64],
  [32, 128],
  [32, 128],
  [48, 192],
  [48, 192],
  [64, 256],
  [64, 256],
] as const;

const convNames = [
  "conv1",
  ...fires.flatMap((_, i) => ["squeeze1x1", "expand1x1", "expand3x3"].map((part) => `fire${i + 2}/${part}`)),
];

/** Kernels in our order and biases, by the file's names. @throws NextxError CHECKPOINT_ codes */
export function squeezeNetWeights(tensors: ReadonlyMap<string, HostTensor>): Map<string, Value> {
  return new Map(
    convNames.flatMap((name) => {
      const kernel = kernelHwio(tensors, `${name}/kernel`);
      const bias = vectorOf(tensors, `${name}/bias`, kernel.shape[0] as number); // rank 4
      return [
        [`${name}/kernel`, kernel],
        [`${name}/bias`, bias],
      ] as const;
    }),
  );
}

function conv(x: Tensor, name: string, out: number, kernel: number, stride: number, padding: number): Tensor {
  const inside = staticDim(dimOf(x, 1), name);
  const weight = input(`${name}/kernel`, { dtype: "float32", shape: [out, inside, kernel, kernel] });
  const bias = input(`${name}/bias`, { dtype: "float32", shape: [out] });
  return maximum(conv2dBias(x, weight, bias, { stride, pads: [padding, padding, padding, padding] }), 0);
}

/** 3 x 3, stride 2, sizes rounded up as in Caffe: zeros never win after a ReLU. */
function pool(x: Tensor): Tensor {
  const missing = (side: Dim) => (staticDim(side, "A pool") + 1) % 2;
  const tall = pad(x, 2, 0, missing(dimOf(x, 2)));
  return maxPool2d(pad(tall, 3, 0, missing(dimOf(x, 3))), 3, 2);
}

/** pictures [B, 3, n, n], RGB, 0 to 255, n at least 31 -> conv1 and fire2 to fire9 after their ReLUs, [B, C, h, w] each. */
export function squeezeNetLayers(pictures: Tensor): Tensor[] {
  const [r, g, b] = split(pictures, 1, [1, 1, 1]) as [Tensor, Tensor, Tensor];
  const means = constant(Float32Array.of(103.939, 116.779, 123.68), [3, 1, 1]);
  let x = conv(sub(concat([b, g, r], 1), means), "conv1", 64, 3, 2, 0);
  const layers = [x];
  for (const [i, [squeeze, expand]] of fires.entries()) {
    const name = `fire${i + 2}`;
    if (i === 0 || i === 2 || i === 4) x = pool(x);
    const s = conv(x, `${name}/squeeze1x1`, squeeze, 1, 1, 0);
    x = concat(
      [conv(s, `${name}/expand1x1`, expand, 1, 1, 0), conv(s, `${name}/expand3x3`, expand, 3, 1, 1)],
      1,
    );
    layers.push(x);
  }
  return layers;
}

/** pictures [B, 3, n, n], RGB, 0 to 255 -> the mean of fire9 over sites [B, 512]. */
export function squeezeNet(pictures: Tensor): { features: Tensor } {
  return { features: mean(squeezeNetLayers(pictures).at(-1) as Tensor, [2, 3]) }; // nine layers
}

/**
 * MobileNetV2 1.0, an ImageNet classifier with 8-bit weights and float activations, built from a list of operations.
 * Source: Sandler et al. 2018, "MobileNetV2"; weights of google-coral/test_data `tf2_mobilenet_v2_1.0_224_ptq.tflite`,
 * batch normalisation folded in. Input: RGB, (v - 127.5) / 127.5; TensorFlow "SAME" padding. Class 0 is background.
 */
import { z } from "zod";
import { type HostTensor, toFloat32 } from "../../formats/hostTensor.ts";
import { permuted, tensorOf, vectorOf } from "../../nn/foreignWeights.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { add, maximum, minimum, mul, sub } from "../../tensor/ops/elementwise.ts";
import { conv2dBias, linear } from "../../tensor/ops/linear.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { reshape } from "../../tensor/ops/structure.ts";
import { depthwiseConv2d } from "../../tensor/ops/window.ts";
import { dimOf, input, staticDim, type Tensor } from "../../tensor/tensor.ts";

const id = z.int().min(0);
const layer = z.strictObject({
  op: z.enum(["conv", "dw"]),
  name: z.string().min(1),
  in: id,
  out: id,
  stride: z.int().min(1).max(4),
  relu6: z.boolean(),
  shape: z.tuple([z.int().min(1), z.int().min(1), z.int().min(1), z.int().min(1)]),
});
const step = z.discriminatedUnion("op", [
  layer.extend({ op: z.literal("conv") }),
  layer.extend({ op: z.literal("dw") }),
  z.strictObject({ op: z.literal("add"), in: z.tuple([id, id]), out: id }),
  z.strictObject({ op: z.enum(["identity", "global_mean", "flatten", "softmax"]), in: id, out: id }),
]);

/** The network's operations in order: `in` and `out` number values, the input is 0. */
export const mobileNetGraphSchema = z.array(step).min(1).max(1000);
export type MobileNetGraph = z.infer<typeof mobileNetGraphSchema>;
type Layer = Extract<MobileNetGraph[number], { op: "conv" | "dw" }>;

const isLayer = (one: MobileNetGraph[number]): one is Layer => one.op === "conv" || one.op === "dw";

/** Real weights w * w_scale per output channel, [out, in, h, w] or [C, 1, h, w]. @throws NextxError CHECKPOINT_ codes */
export function mobileNetWeights(
  tensors: ReadonlyMap<string, HostTensor>,
  graph: MobileNetGraph,
): Map<string, Value> {
  const weights = new Map<string, Value>();
  for (const { op, name, shape } of graph.filter(isLayer)) {
    const tensor = tensorOf(tensors, `${name}/w`);
    if (tensor.dtype !== "I8" || String(tensor.shape) !== String(shape)) {
      throw new NextxError(
        "CHECKPOINT_BAD_SHAPE",
        `Expected I8 [${shape}], got ${tensor.dtype} [${tensor.shape}].`,
        {
          path: `${name}/w`,
        },
      );
    }
    const [a, h, w, b] = shape;
    const out = op === "conv" ? a : b;
    const data = permuted(Float32Array.from(tensor.data), shape, op === "conv" ? [0, 3, 1, 2] : [3, 0, 1, 2]);
    const scale = toFloat32(tensorOf(tensors, `${name}/w_scale`));
    const perChannel = data.length / out;
    const real = data.map((value, i) => value * (scale[Math.floor(i / perChannel)] ?? Number.NaN));
    weights.set(`${name}/w`, floats(real, op === "conv" ? [a, b, h, w] : [b, a, h, w]));
    weights.set(`${name}/b`, vectorOf(tensors, `${name}/b`, out));
  }
  return weights;
}

/** TensorFlow's "SAME": as much as needed, the odd one below and to the right. */
function samePads(side: number, kernel: number, stride: number): readonly [number, number] {
  const total = Math.max((Math.ceil(side / stride) - 1) * stride + kernel - side, 0);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

function applyLayer(x: Tensor, { op, name, shape, stride, relu6 }: Layer): Tensor {
  const [a, h, w, b] = shape;
  const out = op === "conv" ? a : b;
  const weight = input(`${name}/w`, { dtype: "float32", shape: op === "conv" ? [a, b, h, w] : [b, a, h, w] });
  const bias = input(`${name}/b`, { dtype: "float32", shape: [out] });
  const side = (axis: number) => staticDim(dimOf(x, axis), name);
  const [[top, bottom], [left, right]] = [samePads(side(2), h, stride), samePads(side(3), w, stride)];
  const options = { stride, pads: [top, left, bottom, right] as const };
  const y =
    op === "conv"
      ? conv2dBias(x, weight, bias, options)
      : add(depthwiseConv2d(x, weight, options), reshape(bias, [out, 1, 1]));
  return relu6 ? minimum(maximum(y, 0), 6) : y;
}

/**
 * pictures [B, 3, n, n], RGB, 0 to 255 -> output of `global_mean` [B, 1280], logits [B, 1001].
 * Errors: FEATURES_BAD_NETWORK for a list of operations that does not hang together.
 */
export function mobileNetV2(graph: MobileNetGraph, pictures: Tensor): { features: Tensor; logits: Tensor } {
  const values = new Map<number, Tensor>([[0, mul(sub(pictures, 127.5), 1 / 127.5)]]);
  const bad = (what: string) => new NextxError("FEATURES_BAD_NETWORK", what, { path: "graph.json" });
  const value = (at: number): Tensor => {
    const found = values.get(at);
    if (found === undefined) throw bad(`Value ${at} is used before it is made.`);
    return found;
  };
  for (const [i, one] of graph.entries()) {
    if (one.op === "global_mean") {
      const [head, ...rest] = graph.slice(i + 1);
      if (head?.op !== "conv" || rest.some(isLayer)) throw bad("After the global mean comes one layer.");
      const features = mean(value(one.in), [2, 3]);
      const [classes, , , inside] = head.shape;
      const weight = input(`${head.name}/w`, { dtype: "float32", shape: [classes, inside, 1, 1] });
      const bias = input(`${head.name}/b`, { dtype: "float32", shape: [classes] });
      return { features, logits: linear(features, reshape(weight, [classes, inside]), bias) };
    }
    if (isLayer(one)) values.set(one.out, applyLayer(value(one.in), one));
    else if (one.op === "add") values.set(one.out, add(value(one.in[0]), value(one.in[1])));
    else if (one.op === "identity") values.set(one.out, value(one.in));
    else throw bad(`"${one.op}" comes before the global mean.`);
  }
  throw bad("There is no global mean.");
}

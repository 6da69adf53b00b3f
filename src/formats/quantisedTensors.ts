/**
 * Weights of few bits in safetensors files. Under a weight's name lie its codes: int8 as I8 in the weight's own shape, int4
 * as U8 [out, blocks, 16]; beside them `NAME:scale` and, for calibrated convolutions, `NAME:ranges` [4]: scale and zero of
 * the input, then of the output. int4 weights have `NAME:width`, because the last block of a row may not be full.
 */
import { QuantisedValue } from "../runtime/quantised.ts";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { blocksOf } from "../tensor/lowBits.ts";
import { float32ToFloat16Bits, type HostTensor, toFloat32, toInt32 } from "./hostTensor.ts";
import { toValue } from "./tensorValue.ts";

/** `:range` is of files whose ranges were those before the bias: it belongs to nothing now. */
const parts = [":scale", ":range", ":ranges", ":width"] as const;

/** A weight as tensors of a file, by name. */
export function quantisedTensors(name: string, { weight, ranges }: QuantisedValue): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  const { shape, scales } = weight;
  if (weight.kind === "int8") {
    tensors.set(name, { dtype: "I8", shape, data: weight.codes });
    tensors.set(`${name}:scale`, { dtype: "F32", shape: [scales.length], data: scales });
  } else {
    const [out = 0, width = 0] = shape;
    const blocks = blocksOf(width);
    tensors.set(name, { dtype: "U8", shape: [out, blocks, 16], data: weight.codes });
    tensors.set(`${name}:scale`, { dtype: "F16", shape: [out, blocks], data: float32ToFloat16Bits(scales) });
    tensors.set(`${name}:width`, { dtype: "I32", shape: [], data: Int32Array.of(width) });
  }
  if (ranges !== undefined) {
    const { input, output } = ranges;
    const data = Float32Array.of(input.scale, input.zero, output.scale, output.zero);
    tensors.set(`${name}:ranges`, { dtype: "F32", shape: [4], data });
  }
  return tensors;
}

/**
 * The weights of a model file: every dtype as programs take it, codes with their scales as one quantised value.
 * @throws NextxError MODEL_BAD_QUANTISATION (path: the tensor), TENSOR_INT_RANGE
 */
export function toWeights(tensors: ReadonlyMap<string, HostTensor>): Map<string, Value> {
  const weights = new Map<string, Value>();
  const used = new Set<string>();
  for (const [name, tensor] of tensors) {
    if (isPart(name)) continue;
    const scales = tensors.get(`${name}:scale`);
    if (scales === undefined) {
      weights.set(name, toValue(tensor));
      continue;
    }
    for (const part of parts) if (part !== ":range") used.add(name + part);
    weights.set(name, quantisedValue(name, tensor, scales, tensors));
  }
  for (const name of tensors.keys()) {
    if (isPart(name) && !used.has(name)) throw bad(name, "belongs to no codes");
  }
  return weights;
}

const isPart = (name: string): boolean => parts.some((part) => name.endsWith(part));

function bad(name: string, what: string): NextxError {
  return new NextxError("MODEL_BAD_QUANTISATION", `A tensor of a quantised weight ${what}.`, {
    path: name,
    hint: "Quantise the original again.",
  });
}

function quantisedValue(
  name: string,
  codes: HostTensor,
  scale: HostTensor,
  tensors: ReadonlyMap<string, HostTensor>,
): QuantisedValue {
  const scales = toFloat32(scale);
  const range = tensors.get(`${name}:ranges`);
  if (!scales.every(Number.isFinite)) throw bad(`${name}:scale`, "is not finite");
  if (codes.dtype === "I8") {
    const { shape, data } = codes;
    if (shape.length < 2 || scales.length !== shape[0]) throw bad(name, "does not fit its scales");
    const weight = { kind: "int8", shape, codes: data, scales } as const;
    return new QuantisedValue(weight, range && readRanges(`${name}:ranges`, range));
  }
  const [out, blocks, half, ...more] = codes.shape;
  const [width] = toInt32(tensors.get(`${name}:width`) ?? missing(`${name}:width`));
  const fits =
    codes.dtype === "U8" &&
    half === 16 &&
    more.length === 0 &&
    out !== undefined &&
    width !== undefined &&
    width >= 1 &&
    blocks === blocksOf(width) &&
    scales.length === out * blocks;
  if (!fits) throw bad(name, "does not fit its scales");
  return new QuantisedValue({ kind: "int4", shape: [out, width], codes: codes.data, scales });
}

function missing(name: string): never {
  throw bad(name, "is missing");
}

function readRanges(name: string, tensor: HostTensor) {
  const [inputScale = 0, inputZero = -1, outputScale = 0, outputZero = -1] = toFloat32(tensor);
  const isZero = (zero: number) => Number.isInteger(zero) && zero >= 0 && zero <= 255;
  const isScale = (scale: number) => Number.isFinite(scale) && scale > 0;
  const fits =
    tensor.data.length === 4 &&
    [inputScale, outputScale].every(isScale) &&
    [inputZero, outputZero].every(isZero);
  if (!fits) throw bad(name, "holds no ranges");
  return {
    input: { scale: inputScale, zero: inputZero },
    output: { scale: outputScale, zero: outputZero },
  };
}

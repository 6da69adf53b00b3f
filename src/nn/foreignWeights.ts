/** Weights of foreign networks: checked by name and shape, brought into our order of axes. */
import { type HostTensor, toFloat32 } from "../formats/hostTensor.ts";
import { floats, type Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";

/** A tensor of a file. @throws NextxError CHECKPOINT_MISSING_TENSOR */
export function tensorOf(tensors: ReadonlyMap<string, HostTensor>, name: string): HostTensor {
  const tensor = tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw new NextxError("CHECKPOINT_MISSING_TENSOR", "The weights lack a tensor.", {
    path: name,
    hint: "Name the folder with the files that the extractor's documentation lists.",
  });
}

/** A vector of a known length. @throws NextxError CHECKPOINT_MISSING_TENSOR, CHECKPOINT_BAD_SHAPE */
export function vectorOf(tensors: ReadonlyMap<string, HostTensor>, name: string, length: number): Value {
  const tensor = tensorOf(tensors, name);
  if (String(tensor.shape) !== String([length])) throw badShape(name, tensor.shape, [length]);
  return floats(toFloat32(tensor), [length]);
}

function badShape(path: string, got: readonly number[], expected: readonly (number | string)[]): NextxError {
  return new NextxError("CHECKPOINT_BAD_SHAPE", `Expected [${expected}], got [${got}].`, { path });
}

/** A kernel [h, w, in, out] as [out, in, h, w]. @throws NextxError CHECKPOINT_MISSING_TENSOR, CHECKPOINT_BAD_SHAPE */
export function kernelHwio(tensors: ReadonlyMap<string, HostTensor>, name: string): Value {
  const tensor = tensorOf(tensors, name);
  const [h, w, i, o] = tensor.shape;
  if (h === undefined || w === undefined || i === undefined || o === undefined || tensor.shape.length !== 4)
    throw badShape(name, tensor.shape, ["h", "w", "in", "out"]);
  return floats(permuted(toFloat32(tensor), [h, w, i, o], [3, 2, 0, 1]), [o, i, h, w]);
}

/** Elements in the order of permuted axes. */
export function permuted(
  data: Float32Array,
  shape: readonly [number, number, number, number],
  order: readonly [number, number, number, number],
): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const [n0, n1, n2, n3] = order.map((axis) => shape[axis]) as [number, number, number, number];
  const [s0, s1, s2, s3] = order.map((axis) => strides[axis]) as [number, number, number, number];
  const out = new Float32Array(data.length);
  let to = 0;
  for (let a = 0; a < n0; a++)
    for (let b = 0; b < n1; b++)
      for (let c = 0; c < n2; c++)
        for (let d = 0; d < n3; d++) out[to++] = data[a * s0 + b * s1 + c * s2 + d * s3] as number; // in range
  return out;
}

/** Between tensors of files (many dtypes) and values of programs (float32, int32, bool). */
import type { Value } from "../runtime/values.ts";
import { float32ToFloat16Bits, type HostTensor, toFloat32, toInt32 } from "./hostTensor.ts";

/**
 * Floats become float32, integers int32, BOOL bytes 0 or 1. F32 and I32 data are shared, not copied.
 * @throws NextxError TENSOR_INT_RANGE for integers beyond 32 bits
 */
export function toValue(tensor: HostTensor): Value {
  const { dtype, shape, data } = tensor;
  switch (dtype) {
    case "F64":
    case "F32":
    case "F16":
    case "BF16":
      return { data: toFloat32(tensor), shape };
    case "BOOL":
      return { data: data.map((byte) => (byte === 0 ? 0 : 1)), shape };
    default:
      return { data: toInt32(tensor), shape };
  }
}

/** A program's value as a file tensor: int32 as I32, bool as BOOL, floats as F32 (shared) or F16 (rounded to even). */
export function fromValue({ data, shape }: Value, floats: "F32" | "F16" = "F32"): HostTensor {
  if (data instanceof Int32Array) return { dtype: "I32", shape, data };
  if (data instanceof Uint8Array) return { dtype: "BOOL", shape, data };
  return floats === "F32"
    ? { dtype: "F32", shape, data }
    : { dtype: "F16", shape, data: float32ToFloat16Bits(data) };
}

/**
 * Tensors as files hold them: any dtype of the safetensors format, row-major, in host memory, little-endian (as is every
 * machine that JavaScript engines run on). `viewTensor` is the only place in formats where typed arrays are laid over
 * bytes that came from outside.
 */
import { NextxError } from "../tensor/errors.ts";

/** The array class that holds each dtype. F16 and BF16 are bit patterns; BOOL is one byte per element. */
export interface DTypeArrays {
  F64: Float64Array;
  F32: Float32Array;
  F16: Uint16Array;
  BF16: Uint16Array;
  I64: BigInt64Array;
  I32: Int32Array;
  I16: Int16Array;
  I8: Int8Array;
  U64: BigUint64Array;
  U32: Uint32Array;
  U16: Uint16Array;
  U8: Uint8Array;
  BOOL: Uint8Array;
}

/** Dtypes by their safetensors names. */
export type DType = keyof DTypeArrays;

/** A tensor of one dtype; `shape` is empty for a scalar. */
export interface HostTensorOf<D extends DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Row-major, as many elements as the shape says. May share memory with the file's bytes it was read from. */
  readonly data: DTypeArrays[D];
}

/** A tensor of any dtype; checking `dtype` narrows `data`. */
export type HostTensor = { [D in DType]: HostTensorOf<D> }[DType];

const arrayClasses = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

/** All dtype names. */
export const dtypes = Object.keys(arrayClasses) as readonly DType[]; // the keys of a literal

/** Whether `name` is a dtype that we read. */
export function isDType(name: string): name is DType {
  return Object.hasOwn(arrayClasses, name);
}

/** Bytes of one element. */
export function dtypeBytes(dtype: DType): number {
  return arrayClasses[dtype].BYTES_PER_ELEMENT;
}

/** Whether elements are floating-point numbers. */
export function isFloat(dtype: DType): dtype is "F64" | "F32" | "F16" | "BF16" {
  return dtype === "F64" || dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/**
 * Product of the sides, 1 for a scalar; undefined when a side is not an integer >= 0 or when any partial product is
 * beyond 2^53 - 1.
 */
export function checkedElementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const side of shape) {
    if (!Number.isSafeInteger(side) || side < 0) return undefined;
    count *= side;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

/**
 * Lays a tensor over `bytes` (shared where the alignment allows, else copied).
 * @throws NextxError TENSOR_BAD_SHAPE, TENSOR_SIZE_MISMATCH
 */
export function viewTensor(dtype: DType, shape: readonly number[], bytes: Uint8Array): HostTensor {
  const count = checkedElementCount(shape);
  if (count === undefined) throw badShape(shape);
  const itemBytes = dtypeBytes(dtype);
  if (bytes.byteLength !== count * itemBytes) {
    throw new NextxError(
      "TENSOR_SIZE_MISMATCH",
      `${dtype} [${shape.join(", ")}] takes ${count * itemBytes} bytes, got ${bytes.byteLength}.`,
    );
  }
  const aligned = bytes.byteOffset % itemBytes === 0 ? bytes : new Uint8Array(bytes); // slice() of a Buffer copies nothing
  const data = new arrayClasses[dtype](aligned.buffer as ArrayBuffer, aligned.byteOffset, count); // any buffer kind
  return { dtype, shape: [...shape], data } as HostTensor; // the class comes from the dtype
}

/**
 * A tensor over an existing array, checked.
 * @throws NextxError TENSOR_BAD_SHAPE, TENSOR_SIZE_MISMATCH, TENSOR_BAD_DATA when the array is not the dtype's
 */
export function hostTensor<D extends DType>(
  dtype: D,
  shape: readonly number[],
  data: DTypeArrays[D],
): HostTensor {
  const count = checkedElementCount(shape);
  if (count === undefined) throw badShape(shape);
  if (!isDType(dtype) || !(data instanceof arrayClasses[dtype])) {
    throw new NextxError(
      "TENSOR_BAD_DATA",
      `${dtype} tensors hold a ${isDType(dtype) ? arrayClasses[dtype].name : "known dtype"}.`,
    );
  }
  if (data.length !== count) {
    throw new NextxError(
      "TENSOR_SIZE_MISMATCH",
      `[${shape.join(", ")}] has ${count} elements, got ${data.length}.`,
    );
  }
  return { dtype, shape: [...shape], data } as HostTensor; // checked above
}

function badShape(shape: readonly number[]): NextxError {
  return new NextxError(
    "TENSOR_BAD_SHAPE",
    `[${shape.join(", ")}] is no shape: sides are integers >= 0 with a product below 2^53.`,
  );
}

/** The raw little-endian bytes of a tensor, shared with its data. */
export function tensorBytes({ data }: HostTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Any dtype as float32, rounded to nearest even (float64 beyond the range becomes infinite). F32 is shared, not copied. */
export function toFloat32(tensor: HostTensor): Float32Array {
  switch (tensor.dtype) {
    case "F32":
      return tensor.data;
    case "F16":
      return float16BitsToFloat32(tensor.data);
    case "BF16":
      return bfloat16BitsToFloat32(tensor.data);
    case "BOOL":
      return Float32Array.from(tensor.data, (byte) => (byte === 0 ? 0 : 1));
    case "I64":
    case "U64":
      return Float32Array.from(tensor.data as ArrayLike<bigint>, Number); // both hold bigints
    default:
      return Float32Array.from(tensor.data);
  }
}

/**
 * Integers and booleans as int32. I32 is shared, not copied.
 * @throws NextxError TENSOR_INT_RANGE for values that do not fit, TENSOR_NOT_INTEGER for floats
 */
export function toInt32(tensor: HostTensor): Int32Array {
  if (tensor.dtype === "I32") return tensor.data;
  if (isFloat(tensor.dtype)) {
    throw new NextxError("TENSOR_NOT_INTEGER", `Expected integers, got a tensor of ${tensor.dtype}.`);
  }
  if (tensor.dtype === "BOOL") return Int32Array.from(tensor.data, (byte) => (byte === 0 ? 0 : 1));
  const ints = new Int32Array(tensor.data.length);
  for (let i = 0; i < ints.length; i++) {
    const value = tensor.data[i] as number | bigint; // in range
    ints[i] = Number(value);
    if (BigInt(ints[i] as number) !== BigInt(value)) {
      throw new NextxError("TENSOR_INT_RANGE", `The integer ${value} at element ${i} does not fit 32 bits.`, {
        hint: "Programs compute with 32-bit integers.",
      });
    }
  }
  return ints;
}

/** IEEE half precision bits, rounded to nearest even; too large becomes infinity, NaN stays NaN. */
export function float32ToFloat16Bits(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) out[i] = halfBits(bits[i] as number); // in range
  return out;
}

function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff); // NaN, made quiet
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude >= 0x38800000) {
    // Normal halves: move the exponent from bias 127 to 15, round at bit 13.
    const odd = (magnitude >>> 13) & 1;
    return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // below 2^-25
  // Subnormal halves, in units of 2^-24: shift the mantissa with its hidden bit.
  const shift = 126 - (magnitude >>> 23); // 14..24
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

/** Exact values of IEEE half precision bits. */
export function float16BitsToFloat32(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] as number; // in range
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 31;
    const mantissa = half & 0x3ff;
    if (exponent === 0) values[i] = (sign ? -mantissa : mantissa) * 2 ** -24;
    else bits[i] = sign | (exponent === 31 ? 0x7f800000 : (exponent + 112) << 23) | (mantissa << 13);
  }
  return values;
}

/** The upper half of float32, rounded to nearest even; NaN stays NaN. */
export function float32ToBfloat16Bits(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] as number; // in range
    const quietNaN = (word & 0x7fffffff) > 0x7f800000;
    out[i] = quietNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** Exact values of bfloat16 bits. */
export function bfloat16BitsToFloat32(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16; // in range
  return values;
}

/**
 * Converts between floating dtypes by way of float32; other dtypes and equal ones pass unchanged.
 * @throws NextxError TENSOR_FLOAT_RANGE when a finite value would become infinite
 */
export function convertFloats(tensor: HostTensor, dtype: "F32" | "F16" | "BF16"): HostTensor {
  if (!isFloat(tensor.dtype) || tensor.dtype === dtype) return tensor;
  const { shape } = tensor;
  const values = toFloat32(tensor);
  const narrow = dtype === "F16" ? float32ToFloat16Bits : float32ToBfloat16Bits;
  const data = dtype === "F32" ? values : narrow(values);
  const infinite = dtype === "F32" ? 0x7f800000 : dtype === "F16" ? 0x7c00 : 0x7f80;
  const bits = dtype === "F32" ? new Uint32Array(values.buffer, values.byteOffset, values.length) : data;
  for (let i = 0; i < bits.length; i++) {
    // The clear sign bit leaves the pattern of infinity; what was infinite before may stay so.
    if (((bits[i] as number) & (dtype === "F32" ? 0x7fffffff : 0x7fff)) !== infinite) continue;
    const before = tensor.dtype === "F64" ? (tensor.data[i] as number) : (values[i] as number); // in range
    if (Number.isFinite(before)) {
      throw new NextxError("TENSOR_FLOAT_RANGE", `${before} at element ${i} does not fit ${dtype}.`, {
        hint: "Store this tensor as F32.",
      });
    }
  }
  return { dtype, shape, data } as HostTensor; // the array class follows from the dtype
}

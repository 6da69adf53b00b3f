/**
 * Weights in few bits: what the numbers of a matrix or kernel become, and back. Rows are output channels, the first axis of
 * official weights; `weight` is about `codes * scales`.
 */
import { NextxError } from "./errors.ts";

/** Symmetric integers with one scale per output channel: [out, in] or [out, in, k, k]. */
export interface Int8Weight {
  readonly kind: "int8";
  readonly shape: readonly number[];
  /** Row-major as `shape`; from -127 to 127, or -63 to 63 with 7 bits. */
  readonly codes: Int8Array;
  /** One per output channel. */
  readonly scales: Float32Array;
}

/** Four bits with one scale per 32 inputs of a row: [out, in]. */
export interface Int4Weight {
  readonly kind: "int4";
  readonly shape: readonly number[];
  /** [out, blocks, 16]: two codes 0..15 a byte, the earlier one in the low half; a weight is (code - 8) * scale. */
  readonly codes: Uint8Array;
  /** [out, blocks]; numbers that float16 holds. */
  readonly scales: Float32Array;
}

export type LowBitWeight = Int8Weight | Int4Weight;

/** Inputs of a row that share a scale in four bits. */
export const blockSize = 32;

/** Blocks of one row. */
export const blocksOf = (inside: number): number => Math.ceil(inside / blockSize);

function rowsOf(data: Float32Array, shape: readonly number[]): { rows: number; width: number } {
  const [rows = 0] = shape;
  if (data.some((value) => !Number.isFinite(value))) {
    throw new NextxError("QUANTIZE_NOT_FINITE", "A weight is infinite or not a number.");
  }
  return { rows, width: rows === 0 ? 0 : data.length / rows };
}

/**
 * Nearest integers per output channel, whose scales are not below `least`. With 7 bits a product of two neighbours never
 * exceeds 16 bits, which processors without VNNI cannot hold. @throws NextxError QUANTIZE_NOT_FINITE
 */
export function toInt8(
  data: Float32Array,
  shape: readonly number[],
  bits: 7 | 8,
  least?: Float32Array,
): Int8Weight {
  const { rows, width } = rowsOf(data, shape);
  const most = bits === 8 ? 127 : 63;
  const codes = new Int8Array(data.length);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const values = data.subarray(row * width, (row + 1) * width);
    const top = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const scale = Math.max(Math.fround(top / most) || 1, least?.[row] ?? 0);
    scales[row] = scale;
    for (let i = 0; i < width; i++) {
      const code = Math.round((values[i] as number) / scale); // in range
      codes[row * width + i] = Math.max(-most, Math.min(most, code));
    }
  }
  return { kind: "int8", shape, codes, scales };
}

/** A loop: a model has hundreds of millions of codes, and a callback for each takes seconds. */
function hasSevenBits(codes: Int8Array): boolean {
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] as number; // in range
    if (code > 63 || code < -63) return false;
  }
  return true;
}

/** The same weight in 7 bits; itself when it has no more. */
export function toSevenBits(weight: Int8Weight): Int8Weight {
  if (hasSevenBits(weight.codes)) return weight;
  return toInt8(fromInt8(weight), weight.shape, 7, weight.scales); // a scale may be large for a bias' sake
}

/** Smallest number above 0, and largest, of float16. */
const half = { least: 2 ** -24, most: 65504 } as const;

/**
 * The nearest float16 to a scale: 11 significant bits, fewer below 2^-14; never 0, so that codes can be divided by it.
 * @throws NextxError TENSOR_FLOAT_RANGE
 */
function toHalfScale(value: number): number {
  const size = Math.abs(value);
  if (size < half.least) return half.least;
  const step = Math.max(half.least, 2 ** (Math.floor(Math.log2(size)) - 10));
  const rounded = Math.round(value / step) * step;
  if (Math.abs(rounded) <= half.most) return rounded;
  throw new NextxError("TENSOR_FLOAT_RANGE", `A scale of ${value} does not fit float16.`, {
    hint: "Leave this weight as it is: --keep with the start of its name.",
  });
}

/**
 * Nearest of 16 levels per block of 32 inputs; the entry of largest size keeps its value, as far as float16 holds an eighth
 * of it. @throws NextxError QUANTIZE_NOT_FINITE, TENSOR_FLOAT_RANGE
 */
export function toInt4(data: Float32Array, shape: readonly number[]): Int4Weight {
  const { rows, width } = rowsOf(data, shape);
  const blocks = blocksOf(width);
  const codes = new Uint8Array((rows * blocks * blockSize) / 2).fill(0x88);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * width + block * blockSize;
      const values = data.subarray(start, Math.min(start + blockSize, (row + 1) * width));
      const top = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
      const scale = toHalfScale(top / -8);
      const at = row * blocks + block;
      scales[at] = scale;
      for (let i = 0; i < values.length; i++) {
        const code = Math.max(0, Math.min(15, Math.round((values[i] as number) / scale) + 8)); // in range
        const byte = (at * blockSize + i) >> 1;
        const other = codes[byte] as number; // allocated for whole blocks
        codes[byte] = i % 2 === 0 ? (other & 0xf0) | code : (other & 0x0f) | (code << 4);
      }
    }
  }
  return { kind: "int4", shape, codes, scales };
}

function fromInt8({ codes, scales }: Int8Weight): Float32Array {
  const width = codes.length / scales.length;
  return Float32Array.from(codes, (code, i) => code * (scales[Math.floor(i / width)] as number)); // one per row
}

function fromInt4({ codes, scales, shape }: Int4Weight): Float32Array {
  const [rows = 0, width = 0] = shape;
  const blocks = blocksOf(width);
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      const at = row * blocks * blockSize + i;
      const byte = codes[at >> 1] as number; // [out, blocks, 16]
      const code = i % 2 === 0 ? byte & 15 : byte >> 4;
      values[row * width + i] = (code - 8) * (scales[Math.floor(at / blockSize)] as number);
    }
  }
  return values;
}

/** The numbers that low-bit codes stand for. */
export function fromLowBits(weight: LowBitWeight): Float32Array {
  return weight.kind === "int8" ? fromInt8(weight) : fromInt4(weight);
}

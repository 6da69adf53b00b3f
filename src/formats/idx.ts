/**
 * IDX, the format of MNIST and Fashion-MNIST, plain or gzipped. Sizes are checked against the header, unpacking stops at a
 * cap, the gzip checksum is verified.
 * Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", file format; RFC 1952.
 */
import { Gunzip } from "fflate";
import { NextxError } from "../tensor/errors.ts";
import { checkedElementCount, type DType, dtypeBytes, type HostTensor, viewTensor } from "./hostTensor.ts";
import { crc32 } from "./pngChunks.ts";

const types: ReadonlyMap<number, DType> = new Map([
  [0x08, "U8"],
  [0x09, "I8"],
  [0x0b, "I16"],
  [0x0c, "I32"],
  [0x0d, "F32"],
  [0x0e, "F64"],
]);

export interface ReadIdxOptions {
  /** Largest unpacked size in bytes; default 1 GiB. */
  readonly maxBytes?: number;
  /** Name for errors. */
  readonly path?: string;
}

/**
 * Reads an array, unpacking gzip when the bytes are gzip.
 * @throws NextxError IDX_BAD_MAGIC, IDX_SIZE_MISMATCH, IDX_BAD_GZIP, IDX_TOO_LARGE
 */
export function readIdx(bytes: Uint8Array, options: ReadIdxOptions = {}): HostTensor {
  const { maxBytes = 2 ** 30, path = "file" } = options;
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!isGzip) return parse(bytes, path);
  return parse(gunzip(bytes, maxBytes, path), path);
}

function refuse(code: string, message: string, path: string, cause?: unknown): NextxError {
  return new NextxError(`IDX_${code}`, `${path}: ${message}.`, { path, hint: "Get a fresh copy.", cause });
}

function parse(bytes: Uint8Array, path: string): HostTensor {
  const dtype = types.get(bytes[2] ?? 0);
  const rank = bytes[3] ?? 0;
  const start = 4 + 4 * rank;
  if (bytes[0] !== 0 || bytes[1] !== 0 || dtype === undefined || bytes.length < start) {
    throw refuse("BAD_MAGIC", "this is no IDX file", path);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis, false));
  const sizeBytes = (checkedElementCount(shape) ?? Number.POSITIVE_INFINITY) * dtypeBytes(dtype);
  if (bytes.length - start !== sizeBytes) {
    const sides = shape.slice(0, 16).join(" x ");
    throw refuse(
      "SIZE_MISMATCH",
      `${sides} elements of ${dtype} do not take ${bytes.length - start} bytes`,
      path,
    );
  }
  const data = bytes.subarray(start);
  return viewTensor(dtype, shape, dtypeBytes(dtype) === 1 ? data : swapped(data, dtypeBytes(dtype)));
}

/** A copy with the bytes of each element reversed: IDX is big-endian. */
function swapped(data: Uint8Array, itemBytes: number): Uint8Array {
  const copy = new Uint8Array(data);
  for (let at = 0; at < copy.length; at += itemBytes) copy.subarray(at, at + itemBytes).reverse();
  return copy;
}

const pieceBytes = 16384;

function gunzip(bytes: Uint8Array, maxBytes: number, path: string): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  const stream = new Gunzip((chunk) => {
    total += chunk.length;
    if (total > maxBytes) throw refuse("TOO_LARGE", `it unpacks to more than ${maxBytes} bytes`, path);
    chunks.push(chunk);
  });
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      stream.push(bytes.subarray(at, at + pieceBytes), at + pieceBytes >= bytes.length);
    }
  } catch (error) {
    if (error instanceof NextxError) throw error;
    throw refuse("BAD_GZIP", "its gzip data are damaged", path, error);
  }
  const whole = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  const trailer = new DataView(bytes.buffer, bytes.byteOffset + Math.max(0, bytes.length - 8));
  const isWhole =
    bytes.length >= 18 &&
    trailer.getUint32(0, true) === crc32(whole) &&
    trailer.getUint32(4, true) === total % 2 ** 32;
  if (!isWhole) throw refuse("BAD_GZIP", "its gzip data are cut off or do not match their checksum", path);
  return whole;
}

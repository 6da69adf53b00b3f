/** IDX bytes for the picture sets. Files are hostile: every failure is a NextxError. */
import { NextxError } from "../tensor/errors.ts";

/** Unsigned bytes with their dimensions. */
export interface ByteArray {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

function badFile(path: string, message: string): NextxError {
  return new NextxError("DATA_BAD_FILE", message, { path, hint: "Get a fresh copy of the file." });
}

/**
 * Reads IDX with unsigned bytes. Source: LeCun, "The MNIST database", file format.
 * @throws NextxError DATA_BAD_FILE
 */
export function parseIdx(bytes: Uint8Array, path: string): ByteArray {
  const rank = bytes[3] ?? 0;
  const start = 4 + 4 * rank;
  if (bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== 8 || rank < 1 || bytes.length < start) {
    throw badFile(path, `${path} is not an IDX file of unsigned bytes.`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = dims.reduce((product, dim) => product * dim, 1);
  if (bytes.length - start !== expected) {
    throw badFile(path, `${path} should hold ${dims.join(" x ")} bytes, holds ${bytes.length - start}.`);
  }
  return { dims, data: bytes.subarray(start) };
}

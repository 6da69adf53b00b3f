/**
 * Bytes that can be read in ranges without being in memory: a file, a Blob, or an array. Readers of large files take this,
 * so that they work in Node and in the page, and above 2 GiB.
 */
import { NextxError } from "../tensor/errors.ts";

export interface ByteSource {
  /** Name for errors. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Exactly `length` bytes from `offset`, a copy or a view nobody else writes to. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** @throws NextxError FILE_TRUNCATED when a range is not inside the source */
export function checkRange({ path, sizeBytes }: ByteSource, offset: number, length: number): void {
  const inside = [offset, length, offset + length].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (inside && offset + length <= sizeBytes) return;
  throw new NextxError(
    "FILE_TRUNCATED",
    `${path}: ${length} bytes at ${offset} are not inside its ${sizeBytes} bytes.`,
    { path, hint: "The file is cut off or damaged; get a fresh copy." },
  );
}

/** Zeros for what a file says its size is. @throws NextxError FILE_TOO_LARGE */
export function allocateBytes(path: string, length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new NextxError("FILE_TOO_LARGE", `${path}: there is no room for ${length} bytes in memory.`, {
      path,
      hint: "Read single tensors, or use a machine with more memory.",
      cause,
    });
  }
}

/** Bytes in memory; ranges are views. */
export function bytesSource(input: Uint8Array, path = "file"): ByteSource {
  // A Buffer's slice() is a view, not a copy: readers get the plain class.
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  const source: ByteSource = {
    path,
    sizeBytes: bytes.length,
    async read(offset, length) {
      checkRange(source, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
  return source;
}

/** What a read-ahead source fetches at once. */
const windowBytes = 2 ** 16;

/**
 * The same bytes, for readers that step through a source in small pieces: one read of the source serves all pieces that lie
 * in the same 64 KiB after it. Larger ranges are read as they are.
 */
export function readAhead(source: ByteSource): ByteSource {
  let start = 0;
  let held: Uint8Array = new Uint8Array(0);
  return {
    path: source.path,
    sizeBytes: source.sizeBytes,
    async read(offset, length) {
      checkRange(source, offset, length);
      if (length > windowBytes) return source.read(offset, length);
      if (offset < start || offset + length > start + held.length) {
        const bytes = await source.read(offset, Math.min(windowBytes, source.sizeBytes - offset));
        [start, held] = [offset, bytes];
      }
      return held.subarray(offset - start, offset - start + length);
    },
  };
}

/** A Blob or a File of a page. @throws NextxError FILE_CHANGED when the file behind it is gone or other */
export function blobSource(blob: Blob, path = "file"): ByteSource {
  const source: ByteSource = {
    path,
    sizeBytes: blob.size,
    async read(offset, length) {
      checkRange(source, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        throw new NextxError("FILE_CHANGED", `${path} can no longer be read.`, {
          path,
          hint: "Choose it again.",
          cause,
        });
      }
    },
  };
  return source;
}

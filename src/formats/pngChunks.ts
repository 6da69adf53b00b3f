/**
 * The container side of PNG: signature, header, chunks with their CRC, and the size of the unpacked pixels, all checked
 * before a decoder sees a byte. Files are hostile: every failure is a NextxError and nothing is allocated from a claim.
 * Source: W3C, "Portable Network Graphics (PNG) Specification", sections 5, 8 and 11.
 */
import { Unzlib } from "fflate";
import { NextxError } from "../tensor/errors.ts";

/** Pictures with more pixels than this are refused before anything is unpacked. */
export const maxPixels = 64_000_000;
const maxChunks = 2 ** 20;
const signature = [137, 80, 78, 71, 13, 10, 26, 10];
/** Unpacked at most about 1,000 times this at once, the largest ratio of deflate. */
const inflateSliceBytes = 2 ** 14;

/** What the picture says about itself. */
export interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Bits per sample: 1, 2, 4, 8 or 16. */
  readonly depth: number;
  readonly kind: "grey" | "rgb" | "palette" | "grey-alpha" | "rgba";
  readonly interlaced: boolean;
}

/** One chunk; `bytes` is the whole chunk with length and CRC, `data` its content, both views. */
export interface PngChunk {
  readonly type: string;
  readonly data: Uint8Array;
  readonly bytes: Uint8Array;
}

const kinds: Readonly<
  Record<number, { kind: PngHeader["kind"]; channels: number; depths: readonly number[] }>
> = {
  0: { kind: "grey", channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { kind: "rgb", channels: 3, depths: [8, 16] },
  3: { kind: "palette", channels: 1, depths: [1, 2, 4, 8] },
  4: { kind: "grey-alpha", channels: 2, depths: [8, 16] },
  6: { kind: "rgba", channels: 4, depths: [8, 16] },
};

const channelsOf: Readonly<Record<PngHeader["kind"], number>> = {
  grey: 1,
  rgb: 3,
  palette: 1,
  "grey-alpha": 2,
  rgba: 4,
};

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** CRC-32 as PNG and zip use it, an unsigned 32-bit number; `before` is that of the bytes that come first. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = before ^ 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    crc = (crcTable[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8); // i and index are in range
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** A PNG_DAMAGED error, or one of its relatives. */
export function pngError(path: string, message: string, code = "PNG_DAMAGED", cause?: unknown): NextxError {
  const hint = code === "PNG_TOO_LARGE" ? "Make the picture smaller." : "Get a fresh copy of the picture.";
  return new NextxError(code, `${path} ${message}.`, {
    path,
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Whether the bytes begin as a PNG file does. */
export function isPng(bytes: Uint8Array): boolean {
  return signature.every((byte, i) => bytes[i] === byte);
}

/**
 * The chunks from IHDR to IEND, CRC checked, in order; what follows IEND is ignored.
 * @throws NextxError PNG_NOT_PNG, PNG_TRUNCATED, PNG_BAD_CRC, PNG_DAMAGED, PNG_TOO_LARGE
 */
export function* pngChunks(bytes: Uint8Array, path: string): Generator<PngChunk, void> {
  if (!isPng(bytes)) throw pngError(path, "is not a PNG file", "PNG_NOT_PNG");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = signature.length;
  for (let count = 0; ; count++) {
    if (count >= maxChunks) throw pngError(path, "has more than a million chunks", "PNG_TOO_LARGE");
    if (at + 12 > bytes.length) throw pngError(path, "ends too early", "PNG_TRUNCATED");
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) throw pngError(path, "has a chunk without a proper name");
    if ((count === 0) !== (type === "IHDR")) throw pngError(path, "does not have one header at its start");
    const end = at + 12 + length;
    if (end > bytes.length) throw pngError(path, `ends inside its ${type} chunk`, "PNG_TRUNCATED");
    if (crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4))
      throw pngError(path, `has a damaged ${type} chunk (wrong CRC)`, "PNG_BAD_CRC");
    yield { type, data: bytes.subarray(at + 8, end - 4), bytes: bytes.subarray(at, end) };
    if (type === "IEND") return;
    at = end;
  }
}

/**
 * Reads IHDR. @throws NextxError PNG_DAMAGED, PNG_TOO_LARGE (more than 64 million pixels)
 */
export function parsePngHeader({ data }: PngChunk, path: string): PngHeader {
  if (data.length !== 13) throw pngError(path, "has a header of the wrong size");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth = 0, colour = 0, compression, filter, interlace = 0] = data.subarray(8);
  const known = kinds[colour];
  if (width === 0 || height === 0) throw pngError(path, `claims ${width} x ${height} pixels`);
  if (!known?.depths.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1)
    throw pngError(path, `has an unknown kind of pixels (colour type ${colour}, ${depth} bits)`);
  if (width * height > maxPixels)
    throw pngError(path, `has ${width} x ${height} pixels, more than 64 million`, "PNG_TOO_LARGE");
  return { width, height, depth, kind: known.kind, interlaced: interlace === 1 };
}

/** Bytes of the filtered scan lines that the IDAT chunks unpack to. */
function unpackedBytes({ width, height, depth, kind, interlaced }: PngHeader): number {
  const bitsPerPixel = depth * channelsOf[kind];
  const block = (columns: number, rows: number) =>
    columns === 0 ? 0 : rows * (1 + Math.ceil((columns * bitsPerPixel) / 8));
  if (!interlaced) return block(width, height);
  const passes = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
  ] as const;
  const reach = (side: number, start: number, step: number) => Math.max(0, Math.ceil((side - start) / step));
  return passes.reduce((sum, [x, y, dx, dy]) => sum + block(reach(width, x, dx), reach(height, y, dy)), 0);
}

/**
 * Unpacks the IDAT parts only to see that they hold exactly the pixels that the header claims; keeps nothing.
 * @throws NextxError PNG_TRUNCATED, PNG_DAMAGED
 */
export function requirePixelData(header: PngHeader, parts: readonly Uint8Array[], path: string): void {
  const expected = unpackedBytes(header);
  const tooMany = pngError(path, "holds more pixels than its header says");
  let found = 0;
  const inflate = new Unzlib((chunk) => {
    found += chunk.length;
    if (found > expected) throw tooMany;
  });
  try {
    for (const part of parts) {
      for (let at = 0; at < part.length; at += inflateSliceBytes)
        inflate.push(part.subarray(at, at + inflateSliceBytes));
    }
    inflate.push(new Uint8Array(0), true);
  } catch (cause) {
    if (cause instanceof NextxError) throw cause;
    throw pngError(path, "holds pixels that cannot be unpacked", "PNG_DAMAGED", cause);
  }
  if (found < expected) throw pngError(path, "lacks pixels", "PNG_TRUNCATED");
}

/**
 * The decoding that the picture sets need, behind three functions: IDX bytes, PNG pixels, any picture file as RGB. Files
 * are hostile: sizes are capped before anything is unpacked, and every failure is a NextxError.
 */
import { readFile } from "node:fs/promises";
import { decode } from "fast-png";
import { NextxError } from "../tensor/errors.ts";
import type { RgbImage } from "./contactSheet.ts";

/** Unsigned bytes with their dimensions. */
export interface ByteArray {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/** Pixels of a PNG with 8 bits per channel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. */
export interface PngPixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

const maxPixels = 64_000_000;
const maxFileBytes = 2 ** 28;

function badFile(path: string, message: string, cause?: unknown): NextxError {
  return new NextxError("DATA_BAD_FILE", message, { path, hint: "Get a fresh copy of the file.", cause });
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

function isPng(bytes: Uint8Array): boolean {
  return [137, 80, 78, 71, 13, 10, 26, 10].every((byte, i) => bytes[i] === byte) && bytes.length >= 33;
}

/**
 * Reads a PNG of 8 bits per channel without palette; other kinds give undefined.
 * @throws NextxError DATA_BAD_FILE, DATA_TOO_LARGE
 */
export function decodePng(bytes: Uint8Array, path: string): PngPixels | undefined {
  if (!isPng(bytes)) throw badFile(path, `${path} is not a PNG file.`);
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  requirePixels(header.getUint32(16), header.getUint32(20), path);
  try {
    const { width, height, channels, depth, palette, data } = decode(bytes, { checkCrc: true });
    if (depth !== 8 || palette || !(data instanceof Uint8Array)) return undefined;
    if (data.length !== width * height * channels) throw badFile(path, `${path} lacks pixels.`);
    return { width, height, channels, data };
  } catch (cause) {
    if (cause instanceof NextxError) throw cause;
    throw badFile(path, `${path} is a damaged PNG file.`, cause);
  }
}

function requirePixels(width: number, height: number, path: string): void {
  if (width * height <= maxPixels) return;
  throw new NextxError(
    "DATA_TOO_LARGE",
    `${path} has ${width} x ${height} pixels; at most 64 million are read.`,
    {
      path,
      hint: "Make the picture smaller.",
    },
  );
}

/** Any PngPixels over white, as RGB. */
function toRgb({ width, height, channels, data }: PngPixels): RgbImage {
  const [isGrey, hasAlpha] = [channels < 3, channels % 2 === 0];
  const pixels = new Uint8Array(width * height * 3);
  for (let i = 0; i < pixels.length; i++) {
    const start = Math.floor(i / 3) * channels;
    const value = data[start + (isGrey ? 0 : i % 3)] as number; // in range, also below
    const alpha = hasAlpha ? (data[start + channels - 1] as number) / 255 : 1;
    pixels[i] = Math.round(255 + (value - 255) * alpha);
  }
  return { width, height, pixels };
}

/** Decodes with sharp, which is installed separately: JPEG, WebP and the rarer kinds of PNG. */
async function decodeWithSharp(bytes: Uint8Array, path: string): Promise<RgbImage> {
  const loaded = await import("sharp").catch((cause: unknown) => {
    throw new NextxError("DATA_NEEDS_SHARP", `Reading ${path} needs the package sharp.`, {
      path,
      hint: "Run npm install sharp, or convert the pictures to PNG.",
      cause,
    });
  });
  try {
    const { data, info } = await loaded
      .default(bytes, { limitInputPixels: maxPixels })
      .rotate() // as the camera was held
      .flatten({ background: "#ffffff" })
      .toColourspace("srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
    return toRgb({ width: info.width, height: info.height, channels: info.channels, data });
  } catch (cause) {
    throw badFile(path, `${path} cannot be read as a picture.`, cause);
  }
}

/**
 * Reads a picture file as RGB over white.
 * @throws NextxError DATA_BAD_FILE, DATA_TOO_LARGE, DATA_NEEDS_SHARP
 */
export async function readImageFile(path: string): Promise<RgbImage> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw badFile(path, `${path} cannot be read.`, cause);
  });
  if (bytes.length > maxFileBytes) {
    throw new NextxError("DATA_TOO_LARGE", `${path} is larger than 256 MB.`, { path });
  }
  const png = isPng(bytes) ? decodePng(bytes, path) : undefined;
  return png ? toRgb(png) : decodeWithSharp(bytes, path);
}

/**
 * PNG in and out: every kind that occurs (grey, palette, RGB, alpha, 1 to 16 bits, interlaced from 8 bits) as 8-bit RGB or
 * RGBA; out, 8-bit RGB with a recipe inside. Runs in Node and in the page. Colour profiles, gamma and animation are ignored.
 */
import { type DecodedPng, decode, encode } from "fast-png";
import { NextxError } from "../tensor/errors.ts";
import {
  maxPixels,
  type PngHeader,
  parsePngHeader,
  pngChunks,
  pngError,
  requirePixelData,
} from "./pngChunks.ts";
import { type Recipe, recipeFromText, recipeKeyword, recipeToText } from "./recipeChunk.ts";

/** An 8-bit RGB picture. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** width * height * 3 bytes, row-major. */
  readonly pixels: Uint8Array;
}

/** An 8-bit picture with alpha (255 opaque, not premultiplied). */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  /** width * height * 4 bytes, row-major. */
  readonly pixels: Uint8Array;
}

export interface EncodePngOptions {
  /** What made the picture; kept inside the file. */
  readonly recipe?: Recipe;
}

export interface DecodePngOptions {
  /** Name for error messages. */
  readonly path?: string;
  /** What shines through transparent pixels; white when absent. */
  readonly background?: readonly [red: number, green: number, blue: number];
}

/**
 * A PNG file of 8-bit RGB; the same picture and recipe give the same bytes.
 * @throws NextxError PNG_BAD_IMAGE, PNG_BAD_RECIPE
 */
export function encodePng(image: RgbImage, { recipe }: EncodePngOptions = {}): Uint8Array {
  const { width, height, pixels } = image;
  const isSide = (side: number) => Number.isInteger(side) && side >= 1;
  const isImage = isSide(width) && isSide(height) && width * height <= maxPixels;
  if (!isImage || pixels.length !== width * height * 3) {
    throw new NextxError(
      "PNG_BAD_IMAGE",
      `A PNG takes 1 to 64 million pixels of 3 bytes, got ${width} x ${height} and ${pixels.length} bytes.`,
      { path: "image" },
    );
  }
  const text = recipe && { [recipeKeyword]: recipeToText(recipe) };
  return encode(
    { width, height, data: pixels, channels: 3, depth: 8, ...(text ? { text } : {}) },
    { zlib: { level: 6 } },
  );
}

/**
 * Any PNG as RGB over the background.
 * @throws NextxError PNG_NOT_PNG, PNG_TRUNCATED, PNG_BAD_CRC, PNG_DAMAGED, PNG_TOO_LARGE, PNG_UNSUPPORTED
 */
export function decodePng(
  bytes: Uint8Array,
  { path = "The picture", background }: DecodePngOptions = {},
): RgbImage {
  return flattenRgba(decodePngRgba(bytes, path), background);
}

/** Any PNG with its alpha channel. @throws NextxError as decodePng */
export function decodePngRgba(bytes: Uint8Array, path = "The picture"): RgbaImage {
  const { header, essential } = readEssential(bytes, path);
  if (header.interlaced && header.depth < 8)
    throw pngError(path, `is interlaced with ${header.depth} bits per sample`, "PNG_UNSUPPORTED");
  let decoded: DecodedPng;
  try {
    decoded = decode(essential, { checkCrc: true });
  } catch (cause) {
    throw pngError(path, "is a damaged PNG file", "PNG_DAMAGED", cause);
  }
  return { width: header.width, height: header.height, pixels: expand(decoded, header, path) };
}

/** Sides of a PNG whose chunks are sound; pixels stay packed. @throws NextxError as decodePng, but for damaged pixels */
export function readPngSize(bytes: Uint8Array, path = "The picture"): { width: number; height: number } {
  const { width, height } = readEssential(bytes, path).header;
  return { width, height };
}

/** Lays a picture with alpha over one colour (white when absent). */
export function flattenRgba(
  { width, height, pixels }: RgbaImage,
  background: readonly [number, number, number] = [255, 255, 255],
): RgbImage {
  const out = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const alpha = (pixels[pixel * 4 + 3] as number) / 255; // indices are in range, also below
    for (let channel = 0; channel < 3; channel++) {
      const below = background[channel] as number;
      out[pixel * 3 + channel] = Math.round(
        below + ((pixels[pixel * 4 + channel] as number) - below) * alpha,
      );
    }
  }
  return { width, height, pixels: out };
}

/**
 * The recipe inside a picture; the pixels are not unpacked.
 * @throws NextxError PNG_NO_RECIPE, PNG_BAD_RECIPE, PNG_NOT_PNG, PNG_TRUNCATED, PNG_BAD_CRC, PNG_DAMAGED
 */
export function readPngRecipe(bytes: Uint8Array, path = "The picture"): Recipe {
  const found: Uint8Array[] = [];
  const start = [...recipeKeyword, "\0"].map((character) => character.charCodeAt(0));
  for (const { type, data } of pngChunks(bytes, path)) {
    if (type === "tEXt" && start.every((byte, i) => data[i] === byte))
      found.push(data.subarray(start.length));
  }
  const [text, second] = found;
  if (text === undefined) {
    throw new NextxError("PNG_NO_RECIPE", `${path} carries no nextx recipe.`, {
      path,
      hint: "Use a picture that nextx wrote; other programs often drop the recipe when they save.",
    });
  }
  if (second !== undefined) {
    throw new NextxError("PNG_BAD_RECIPE", `${path} carries ${found.length} recipes.`, { path });
  }
  return recipeFromText(text, path);
}

/** The header, and the file reduced to what pixels need: nothing else reaches the decoder. */
function readEssential(bytes: Uint8Array, path: string): { header: PngHeader; essential: Uint8Array } {
  const kept: Uint8Array[] = [bytes.subarray(0, 8)];
  const pixelParts: Uint8Array[] = [];
  const seen = new Set<string>();
  let header: PngHeader | undefined;
  for (const { type, data, bytes: chunk } of pngChunks(bytes, path)) {
    if (type === "IHDR") header = parsePngHeader({ type, data, bytes: chunk }, path);
    if (type === "IDAT") pixelParts.push(data);
    else if (type === "PLTE" || type === "tRNS") {
      if (seen.has(type)) throw pngError(path, `has two ${type} chunks`);
      seen.add(type);
    } else if (type !== "IHDR" && type !== "IEND") {
      if (type.charCodeAt(0) < 97) throw pngError(path, `needs the unknown chunk ${type}`, "PNG_UNSUPPORTED");
      continue; // text, time, profile and the like
    }
    kept.push(chunk);
  }
  if (!header) throw pngError(path, "has no header"); // the first chunk is the header
  if (header.kind === "palette" && !seen.has("PLTE")) throw pngError(path, "has no palette");
  requirePixelData(header, pixelParts, path);
  const essential = new Uint8Array(kept.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of kept) {
    essential.set(part, at);
    at += part.length;
  }
  return { header, essential };
}

/** Samples of any kind as RGBA bytes. */
function expand(decoded: DecodedPng, header: PngHeader, path: string): Uint8Array {
  const { kind, width, height, depth } = header;
  const samples = depth < 8 ? unpackBits(decoded.data, width, height, depth) : decoded.data;
  const { transparency: key, palette } = decoded;
  const out = new Uint8Array(width * height * 4);
  if (kind === "palette") {
    for (let i = 0; i < samples.length; i++) {
      const [red, green, blue, alpha = 255] = palette?.[samples[i] as number] ?? []; // in range
      if (red === undefined || green === undefined || blue === undefined)
        throw pngError(path, "uses a colour that its palette lacks");
      out.set([red, green, blue, alpha], i * 4);
    }
    return out;
  }
  const colours = kind === "grey" || kind === "grey-alpha" ? 1 : 3;
  const channels = colours + (kind === "grey-alpha" || kind === "rgba" ? 1 : 0);
  const toByte =
    depth === 16 ? (v: number) => Math.round(v / 257) : (v: number) => (v * 255) / (2 ** depth - 1);
  const keyLength = kind === "grey" ? 1 : 3;
  for (let pixel = 0, at = 0; pixel < width * height; pixel++, at += channels) {
    for (let channel = 0; channel < 3; channel++)
      out[pixel * 4 + channel] = toByte(samples[at + (colours === 1 ? 0 : channel)] as number); // in range
    const alpha = channels > colours ? toByte(samples[at + colours] as number) : 255; // in range
    const isKey =
      key?.length === keyLength && channels === colours && key.every((v, i) => v === samples[at + i]);
    out[pixel * 4 + 3] = isKey ? 0 : alpha;
  }
  return out;
}

/** One sample per byte from rows of packed bits. */
function unpackBits(packed: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const out = new Uint8Array(width * height);
  const rowBytes = Math.ceil((width * depth) / 8);
  const perByte = 8 / depth;
  for (let i = 0; i < out.length; i++) {
    const column = i % width;
    const byte = packed[Math.floor(i / width) * rowBytes + Math.floor(column / perByte)] as number; // in range
    out[i] = (byte >> (8 - depth * ((column % perByte) + 1))) & (2 ** depth - 1);
  }
  return out;
}

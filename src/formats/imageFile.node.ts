/**
 * Reads any picture file as RGB. PNG goes through our own reader; JPEG, WebP, GIF, AVIF and TIFF through the optional
 * package sharp, which is loaded when the first such file comes. What a file is shows in its first bytes, not in its name.
 */
import { readFile, stat } from "node:fs/promises";
import { NextxError } from "../tensor/errors.ts";
import { fileError } from "./durableLayer.node.ts";
import { decodePng, flattenRgba, type RgbImage } from "./png.ts";
import { isPng, maxPixels } from "./pngChunks.ts";

export interface ReadImageOptions {
  /** What shines through transparent pixels; white when absent. */
  readonly background?: readonly [red: number, green: number, blue: number];
  /** Loads the package for everything but PNG. */
  readonly loadSharp?: () => Promise<typeof import("sharp")>;
}

const maxFileBytes = 2 ** 28;

/** Kinds that sharp may see; anything else (SVG, PDF, text) is refused here. */
const signatures: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ["JPEG", /^\xff\xd8\xff/],
  ["WebP", /^RIFF.{4}WEBP/s],
  ["GIF", /^GIF8[79]a/],
  ["AVIF", /^.{4}ftypavi[fs]/s],
  ["TIFF", /^(II\x2a\0|MM\0\x2a)/],
];

function kindOf(bytes: Uint8Array): string | undefined {
  if (isPng(bytes)) return "PNG";
  const start = String.fromCharCode(...bytes.subarray(0, 16));
  return signatures.find(([, pattern]) => pattern.test(start))?.[0];
}

function imageError(code: string, path: string, message: string, hint: string, cause?: unknown): NextxError {
  return new NextxError(code, `${path} ${message}.`, {
    path,
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * Reads a picture file as RGB, turned as the camera was held, transparent parts over the background.
 * @throws NextxError IMAGE_BAD_FILE, IMAGE_TOO_LARGE (256 MB, 64 million pixels), IMAGE_NEEDS_SHARP, FILE_NOT_FOUND and the
 * other FILE_ codes, the codes of decodePng
 */
export async function readImageFile(path: string, options: ReadImageOptions = {}): Promise<RgbImage> {
  const bytes = await readLimited(path);
  return decodeImage(bytes, path, options);
}

/**
 * The same for bytes in memory; `path` names them in errors.
 * @throws NextxError IMAGE_BAD_FILE, IMAGE_TOO_LARGE, IMAGE_NEEDS_SHARP, the codes of decodePng
 */
export async function decodeImage(
  bytes: Uint8Array,
  path: string,
  options: ReadImageOptions = {},
): Promise<RgbImage> {
  const { background } = options;
  const kind = kindOf(bytes);
  if (kind === undefined)
    throw imageError(
      "IMAGE_BAD_FILE",
      path,
      "is not a picture",
      "Give a PNG, JPEG, WebP, GIF, AVIF or TIFF file.",
    );
  if (kind === "PNG") {
    try {
      return decodePng(bytes, { path, ...(background ? { background } : {}) });
    } catch (error) {
      if (!(error instanceof NextxError && error.code === "PNG_UNSUPPORTED")) throw error;
    }
  }
  return decodeWithSharp(bytes, path, kind, options);
}

async function readLimited(path: string): Promise<Uint8Array> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw imageError("IMAGE_BAD_FILE", path, "is not a file", "Give a picture file.");
    if (found.size > maxFileBytes)
      throw imageError("IMAGE_TOO_LARGE", path, "is larger than 256 MB", "Make the picture smaller.");
    return await readFile(path);
  } catch (cause) {
    throw fileError(cause, path, "read");
  }
}

async function decodeWithSharp(
  bytes: Uint8Array,
  path: string,
  kind: string,
  { background, loadSharp = () => import("sharp") }: ReadImageOptions,
): Promise<RgbImage> {
  const { default: sharp } = await loadSharp().catch((cause: unknown) => {
    const hint = "Run npm install sharp, or convert the picture to PNG.";
    throw imageError("IMAGE_NEEDS_SHARP", path, `is ${kind}, which needs the package sharp`, hint, cause);
  });
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: false })
      .metadata()
      .then(({ width, height }) => requirePixels(width, height, path))
      .then(() => sharp(bytes, { limitInputPixels: maxPixels }).rotate().toColourspace("srgb").ensureAlpha())
      .then((picture) => picture.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true }));
    if (info.channels !== 4) throw new Error(`${info.channels} channels after decoding`);
    return flattenRgba({ width: info.width, height: info.height, pixels: data }, background);
  } catch (cause) {
    if (cause instanceof NextxError) throw cause;
    throw imageError(
      "IMAGE_BAD_FILE",
      path,
      `is a damaged ${kind} file`,
      "Get a fresh copy of the picture.",
      cause,
    );
  }
}

function requirePixels(width: number, height: number, path: string): void {
  if (width * height <= maxPixels) return;
  const message = `has ${width} x ${height} pixels, more than 64 million`;
  throw imageError("IMAGE_TOO_LARGE", path, message, "Make the picture smaller.");
}

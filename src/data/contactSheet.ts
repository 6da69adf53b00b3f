/** Puts square RGB pictures side by side into one picture: a grid with small gaps, enlarged by whole pixels if wished. */
import type { RgbImage } from "../formats/png.ts";
import { maxPixels } from "../formats/pngChunks.ts";
import { NextxError } from "../tensor/errors.ts";
import type { Rgb } from "./synth/palette.ts";

/** How the grid looks. */
export interface ContactSheetOptions {
  /** Pictures in a row; about as many as rows when absent. */
  readonly columns?: number;
  /** Pixels between pictures and around them; 2 when absent. */
  readonly gap?: number;
  /** Whole-number enlargement of each picture; 1 when absent. */
  readonly scale?: number;
  /** Colour of the gaps; near black when absent. */
  readonly gapColour?: Rgb;
}

/** Sides of a grid of n pictures in pixels, and whether a PNG takes it. */
export function contactSheetSize(
  n: number,
  size: number,
  { columns = Math.ceil(Math.sqrt(n)), gap = 2, scale = 1 }: ContactSheetOptions = {},
): { readonly width: number; readonly height: number; readonly fits: boolean } {
  const cell = size * scale + gap;
  const [width, height] = [columns * cell + gap, Math.ceil(n / columns) * cell + gap];
  return { width, height, fits: width * height <= maxPixels };
}

/**
 * A grid of n pictures, given one after another as n * size * size * 3 bytes; row by row, missing places stay empty.
 * @throws NextxError DATA_BAD_SHAPE, DATA_TOO_LARGE (more pixels than a PNG takes)
 */
export function composeContactSheet(
  pixels: Uint8Array,
  n: number,
  size: number,
  options: ContactSheetOptions = {},
): RgbImage {
  const { columns = Math.ceil(Math.sqrt(n)), gap = 2, scale = 1, gapColour = [24, 24, 28] } = options;
  requireSheet(pixels, n, size, columns, gap, scale);
  const cell = size * scale + gap;
  const { width, height, fits } = contactSheetSize(n, size, { columns, gap, scale });
  if (!fits) {
    throw new NextxError(
      "DATA_TOO_LARGE",
      `The grid has ${width} x ${height} pixels, more than 64 million.`,
      {
        path: "columns",
        hint: "Take fewer columns or pictures, or a smaller scale.",
      },
    );
  }
  const sheet = Uint8Array.from({ length: width * height * 3 }, (_, i) => gapColour[i % 3] as number); // channel < 3
  for (let image = 0; image < n; image++) {
    const left = gap + (image % columns) * cell;
    const top = gap + Math.floor(image / columns) * cell;
    for (let row = 0; row < size * scale; row++) {
      const from = (image * size + Math.floor(row / scale)) * size;
      const to = (top + row) * width + left;
      for (let column = 0; column < size * scale; column++) {
        const at = (from + Math.floor(column / scale)) * 3;
        sheet.set(pixels.subarray(at, at + 3), (to + column) * 3);
      }
    }
  }
  return { width, height, pixels: sheet };
}

function requireSheet(
  pixels: Uint8Array,
  n: number,
  size: number,
  columns: number,
  gap: number,
  scale: number,
): void {
  const wanted: readonly [string, number, number][] = [
    ["n", n, 1],
    ["size", size, 1],
    ["columns", columns, 1],
    ["gap", gap, 0],
    ["scale", scale, 1],
  ];
  for (const [path, value, least] of wanted) {
    if (Number.isInteger(value) && value >= least) continue;
    throw new NextxError("DATA_BAD_SHAPE", `${path} is a whole number from ${least}, got ${String(value)}.`, {
      path,
    });
  }
  if (pixels.length !== n * size * size * 3) {
    throw new NextxError(
      "DATA_BAD_SHAPE",
      `${n} pictures of ${size} x ${size} x 3 are ${n * size * size * 3} bytes, got ${pixels.length}.`,
      { path: "pixels" },
    );
  }
}

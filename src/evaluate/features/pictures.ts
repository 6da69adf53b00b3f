/** Pictures as the input of extractors: planes of 0 to 255, and resizing as a matrix. */
import { NextxError } from "../../tensor/errors.ts";
import type { Pictures } from "./types.ts";

/** @throws NextxError METRIC_BAD_SHAPE */
export function requirePictures({ pixels, count, size }: Pictures): void {
  const fits =
    Number.isInteger(count) &&
    count >= 0 &&
    Number.isInteger(size) &&
    size >= 1 &&
    pixels.length === count * size * size * 3;
  if (fits) return;
  throw new NextxError(
    "METRIC_BAD_SHAPE",
    `${pixels.length} bytes are not ${count} pictures of ${size} x ${size} x 3.`,
    {
      path: "pictures",
    },
  );
}

/** Pictures first .. first + count - 1 as float32 [count, 3, size, size], 0 to 255. */
export function planes({ pixels, size }: Pictures, first: number, count: number): Float32Array {
  const plane = size * size;
  const out = new Float32Array(count * 3 * plane);
  for (let n = 0, at = first * plane * 3; n < count; n++) {
    for (let pixel = 0; pixel < plane; pixel++) {
      for (let channel = 0; channel < 3; channel++, at++)
        out[(n * 3 + channel) * plane + pixel] = pixels[at] as number; // in range
    }
  }
  return out;
}

/**
 * Resampling of one axis, `to` x `from`, row-major: a triangle around half-pixel centres, as wide as a source or a target
 * pixel, whichever is larger, cut at the border and normalised. The identity when the sides are equal.
 * Source: Pillow, `Resample.c`, BILINEAR (without its rounding to bytes between the axes); the antialiasing that Parmar
 * et al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", ask for.
 */
export function triangleMatrix(from: number, to: number): Float32Array {
  const matrix = new Float32Array(to * from);
  const scale = from / to;
  const reach = Math.max(scale, 1);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const weights = Array.from({ length: from }, (_, j) =>
      Math.max(0, 1 - Math.abs((j + 0.5 - centre) / reach)),
    );
    const total = weights.reduce((a, b) => a + b, 0);
    for (const [j, weight] of weights.entries()) matrix[i * from + j] = weight / total;
  }
  return matrix;
}

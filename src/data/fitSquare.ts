/**
 * Brings any picture to a square of a wanted side: the middle square is cut out and resampled with a triangle filter
 * that widens when shrinking, so nothing aliases. Source: Pillow's Image.resize with BILINEAR (libImaging/Resample.c).
 */

import type { RgbImage } from "../formats/png.ts";
import { invariant } from "../tensor/errors.ts";

/** First source position and the weights, summing to 1, of one target position. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/** Filter taps for resampling `from` positions to `to`. */
function filterTaps(from: number, to: number): Taps[] {
  const ratio = from / to;
  const support = Math.max(ratio, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * ratio;
    const first = Math.max(Math.floor(centre - support + 0.5), 0);
    const end = Math.min(Math.floor(centre + support + 0.5), from);
    const weights = Float64Array.from({ length: end - first }, (_, k) =>
      Math.max(1 - Math.abs(first + k + 0.5 - centre) / support, 0),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

/** Weighted sum of `taps` positions, `stride` apart. */
function tapped(values: ArrayLike<number>, start: number, stride: number, { first, weights }: Taps): number {
  let sum = 0;
  for (let k = 0; k < weights.length; k++) {
    sum += (weights[k] as number) * (values[start + (first + k) * stride] as number); // taps stay inside
  }
  return sum;
}

/** The middle square of a picture at size * size * 3 bytes. */
export function fitSquare({ width, height, pixels }: RgbImage, size: number): Uint8Array {
  invariant(width >= 1 && height >= 1 && pixels.length === width * height * 3, "an RGB picture of some size");
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  const taps = filterTaps(side, size);
  const rows = new Float64Array(side * size * 3); // [side, size, 3]: columns are done
  for (let row = 0; row < side; row++) {
    const start = ((top + row) * width + left) * 3;
    for (const [column, tap] of taps.entries()) {
      for (let channel = 0; channel < 3; channel++) {
        rows[(row * size + column) * 3 + channel] = tapped(pixels, start + channel, 3, tap);
      }
    }
  }
  const out = new Uint8Array(size * size * 3);
  for (const [row, tap] of taps.entries()) {
    for (let i = 0; i < size * 3; i++) {
      out[row * size * 3 + i] = Math.round(tapped(rows, i, size * 3, tap));
    }
  }
  return out;
}

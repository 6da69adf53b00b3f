/** Shrinks pictures by a whole factor: each new pixel is the rounded mean of a block of old ones. */
import { invariant } from "../tensor/errors.ts";

/** `pixels`: any number of RGB pictures of side `side`, one after another; `factor` divides the side. */
export function areaPool(pixels: Uint8Array, side: number, factor: number): Uint8Array {
  invariant(side % factor === 0 && pixels.length % (side * side * 3) === 0, "pictures that can be pooled");
  if (factor === 1) return pixels;
  const out = new Uint8Array(pixels.length / factor ** 2);
  const [stride, columns, area] = [side * 3, side / factor, factor ** 2];
  for (let i = 0; i < out.length; i++) {
    const [channel, column] = [i % 3, Math.floor(i / 3) % columns];
    const row = Math.floor(i / (3 * columns)); // rows run on over the pictures
    const corner = row * factor * stride + column * factor * 3 + channel;
    let sum = 0;
    for (let k = 0; k < area; k++)
      sum += pixels[corner + Math.floor(k / factor) * stride + (k % factor) * 3] as number; // in range
    out[i] = Math.round(sum / area);
  }
  return out;
}

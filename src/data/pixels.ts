/**
 * Between bytes (0 to 255, channels last) and tensors (-1 to 1, channels first, N C H W with C = 3). Going there and
 * back gives the same bytes.
 */
import { NextxError } from "../tensor/errors.ts";

/** Channels of every picture in nextx. */
export const numChannels = 3;

/** Writes one picture (size * size * 3 bytes) as three planes at `offset` of `out`. */
export function writePlanes(pixels: Uint8Array, size: number, out: Float32Array, offset: number): void {
  const plane = size * size;
  for (let pixel = 0, i = 0; pixel < plane; pixel++) {
    for (let channel = 0; channel < numChannels; channel++, i++) {
      out[offset + channel * plane + pixel] = (pixels[i] as number) / 127.5 - 1; // callers give size * size * 3 bytes
    }
  }
}

/**
 * n pictures of size * size * 3 bytes as a float tensor (n, 3, size, size) in [-1, 1].
 * @throws NextxError DATA_BAD_SHAPE
 */
export function imagesToFloat(pixels: Uint8Array, n: number, size: number): Float32Array {
  const length = size * size * numChannels;
  requireLength(pixels.length, n, size);
  const out = new Float32Array(n * length);
  for (let i = 0; i < n; i++)
    writePlanes(pixels.subarray(i * length, (i + 1) * length), size, out, i * length);
  return out;
}

/**
 * A float tensor (n, 3, size, size) as n pictures of size * size * 3 bytes, rounded; outside [-1, 1] is clamped, NaN is 0.
 * @throws NextxError DATA_BAD_SHAPE
 */
export function floatToImages(nchw: Float32Array, n: number, size: number): Uint8Array {
  requireLength(nchw.length, n, size);
  const plane = size * size;
  const out = new Uint8Array(nchw.length);
  for (let i = 0; i < out.length; i++) {
    const [image, rest] = [Math.floor(i / (plane * numChannels)), i % (plane * numChannels)];
    const from = (image * numChannels + (rest % numChannels)) * plane + Math.floor(rest / numChannels);
    const value = ((nchw[from] as number) + 1) * 127.5; // in range
    out[i] = Math.round(Math.min(Math.max(value, 0), 255));
  }
  return out;
}

function requireLength(got: number, n: number, size: number): void {
  const expected = n * size * size * numChannels;
  if (!(Number.isInteger(n) && n >= 0 && Number.isInteger(size) && size >= 1 && got === expected)) {
    throw new NextxError(
      "DATA_BAD_SHAPE",
      `Expected ${String(n)} pictures of ${String(size)} x ${String(size)} x 3 = ${expected} numbers, got ${got}.`,
    );
  }
}

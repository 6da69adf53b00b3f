/**
 * What a lossy codec does to a picture, for the tests of the checker: quantised 8 x 8 cosine transforms like JPEG
 * (without chroma subsampling), Gaussian noise, Gaussian blur, halving and doubling. Pictures are RGB bytes.
 */
import { RandomStream } from "../../../tensor/random.ts";

/** ITU-T T.81 annex K, luminance then chrominance (whose lower half is 99). */
const luminance = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22,
  29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103,
  121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const chrominance = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99,
  99, 99, 99, 99, 99,
];

/** Row u, column x of the orthonormal cosine transform. */
const cosines = Float64Array.from({ length: 64 }, (_, i) => {
  const [u, x] = [i >> 3, i & 7];
  return (u === 0 ? Math.sqrt(1 / 8) : 0.5) * Math.cos(((2 * x + 1) * u * Math.PI) / 16);
});

function toByte(value: number): number {
  return Math.max(0, Math.min(255, Math.round(value)));
}

/** matrix * block (or its transpose) for 8 x 8 matrices. */
function product(a: Float64Array, b: Float64Array, transposeA: boolean, transposeB: boolean): Float64Array {
  return Float64Array.from({ length: 64 }, (_, i) => {
    const [row, column] = [i >> 3, i & 7];
    let sum = 0;
    for (let k = 0; k < 8; k++) {
      const left = a[transposeA ? k * 8 + row : row * 8 + k] as number; // k < 8, also below
      sum += left * (b[transposeB ? column * 8 + k : k * 8 + column] as number);
    }
    return sum;
  });
}

function quantiseBlock(block: Float64Array, steps: readonly number[], scale: number): Float64Array {
  const spectrum = product(product(cosines, block, false, false), cosines, false, true);
  const coarse = spectrum.map((value, i) => {
    const step = Math.max(1, Math.floor(((steps[i] ?? 99) * scale + 50) / 100));
    return Math.round(value / step) * step;
  });
  return product(product(cosines, coarse, true, false), cosines, false, false);
}

/** The picture after JPEG's colour conversion and quantisation at `quality` (50 to 100). */
export function jpegLike(pixels: Uint8Array, size: number, quality: number): Uint8Array {
  const planes = [0, 1, 2].map(() => new Float64Array(size * size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ]; // three
  const [luma, blue, red] = planes;
  for (let i = 0; i < size * size; i++) {
    const [r, g, b] = pixels.subarray(i * 3, i * 3 + 3) as unknown as [number, number, number]; // three bytes
    luma[i] = 0.299 * r + 0.587 * g + 0.114 * b - 128;
    blue[i] = -0.168736 * r - 0.331264 * g + 0.5 * b;
    red[i] = 0.5 * r - 0.418688 * g - 0.081312 * b;
  }
  for (const plane of planes) {
    for (let block = 0; block < (size / 8) ** 2; block++) {
      const corner = Math.floor(block / (size / 8)) * 8 * size + (block % (size / 8)) * 8;
      const at = (i: number) => corner + (i >> 3) * size + (i & 7);
      const values = Float64Array.from({ length: 64 }, (_, i) => plane[at(i)] as number); // in range
      const steps = plane === luma ? luminance : chrominance;
      for (const [i, value] of quantiseBlock(values, steps, 200 - 2 * quality).entries())
        plane[at(i)] = value;
    }
  }
  return Uint8Array.from(pixels, (_, i) => {
    const pixel = Math.floor(i / 3);
    const [y, cb, cr] = planes.map((plane) => plane[pixel]) as [number, number, number]; // in range
    const difference = [1.402 * cr, -0.344136 * cb - 0.714136 * cr, 1.772 * cb][i % 3] as number; // three
    return toByte(y + 128 + difference);
  });
}

/** The picture with Gaussian noise of standard deviation `sigma` (of 255). */
export function noisy(pixels: Uint8Array, sigma: number, seed: number): Uint8Array {
  const stream = RandomStream.from(seed, "noise");
  return pixels.map((value) => toByte(value + sigma * stream.normal()));
}

/** One-dimensional Gaussian filter along `step` pixels; the edge repeats. */
function filter(from: Float64Array, size: number, sigma: number, vertical: boolean): Float64Array {
  const reach = Math.ceil(3 * sigma);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return from.map((_, i) => {
    const [channel, column, row] = [i % 3, Math.floor(i / 3) % size, Math.floor(i / (3 * size))];
    return (
      weights.reduce((sum, weight, k) => {
        const along = Math.max(0, Math.min(size - 1, (vertical ? row : column) + k - reach));
        const pixel = vertical ? along * size + column : row * size + along;
        return sum + weight * (from[pixel * 3 + channel] as number); // in range
      }, 0) / total
    );
  });
}

/** The picture after a Gaussian blur of `sigma` pixels. */
export function blurred(pixels: Uint8Array, size: number, sigma: number): Uint8Array {
  const rows = filter(Float64Array.from(pixels), size, sigma, false);
  return Uint8Array.from(filter(rows, size, sigma, true), toByte);
}

/** The picture with a square block (in pixels) taken from another. */
export function withBlock(
  pixels: Uint8Array,
  other: Uint8Array,
  size: number,
  block: { readonly left: number; readonly top: number; readonly side: number },
): Uint8Array {
  const out = pixels.slice();
  for (let row = block.top; row < block.top + block.side; row++) {
    const start = (row * size + block.left) * 3;
    out.set(other.subarray(start, start + block.side * 3), start);
  }
  return out;
}

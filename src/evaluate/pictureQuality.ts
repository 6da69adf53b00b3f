/**
 * Distances between a picture and its reconstruction from pixels alone. Pictures are width * height * 3 bytes, channels
 * last, 0 to 255; numbers are float64.
 */
import { NextxError } from "../tensor/errors.ts";

const peak = 255;

function requireSameSize(a: Uint8Array, b: Uint8Array, expected: number): void {
  if (a.length === b.length && a.length === expected && expected > 0) return;
  throw new NextxError(
    "METRIC_BAD_SHAPE",
    `Expected two pictures of ${expected} bytes, got ${a.length} and ${b.length}.`,
  );
}

/**
 * Peak signal-to-noise ratio 10 log10(255^2 / mean squared error) in dB over all bytes; Infinity for equal pictures.
 * Source: ITU-T J.340 (the common form with one mean over pixels and channels).
 * @throws NextxError METRIC_BAD_SHAPE
 */
export function psnr(a: Uint8Array, b: Uint8Array): number {
  requireSameSize(a, b, a.length);
  let total = 0;
  for (let i = 0; i < a.length; i++) total += ((a[i] as number) - (b[i] as number)) ** 2; // same length
  return 10 * Math.log10((peak * peak * a.length) / total);
}

const windowSide = 11;

/** Gaussian weights with deviation 1.5 that sum to 1, one axis of the window. */
const windowWeights: Float64Array = (() => {
  const raw = Float64Array.from({ length: windowSide }, (_, i) => Math.exp(-((i - 5) ** 2) / (2 * 1.5 ** 2)));
  const total = raw.reduce((a, b) => a + b, 0);
  return raw.map((weight) => weight / total);
})();

/** Gaussian average of a height x width plane at every position where the window fits. */
function blur(plane: Float64Array, width: number, height: number): Float64Array {
  const [columns, rows] = [width - windowSide + 1, height - windowSide + 1];
  const along = new Float64Array(height * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let i = 0; i < windowSide; i++)
        sum += (windowWeights[i] as number) * (plane[y * width + x + i] as number); // in range
      along[y * columns + x] = sum;
    }
  }
  const out = new Float64Array(rows * columns);
  for (let at = 0; at < out.length; at++) {
    let sum = 0;
    for (let i = 0; i < windowSide; i++)
      sum += (windowWeights[i] as number) * (along[at + i * columns] as number); // in range
    out[at] = sum;
  }
  return out;
}

/** SSIM map of two planes. */
function similarity(a: Float64Array, b: Float64Array, width: number, height: number): Float64Array {
  const average = (values: (i: number) => number) =>
    blur(
      Float64Array.from(a, (_, i) => values(i)),
      width,
      height,
    );
  const [at, bt] = [(i: number) => a[i] as number, (i: number) => b[i] as number]; // same length
  const [meanA, meanB] = [average(at), average(bt)];
  const [aa, bb, ab] = [
    average((i) => at(i) ** 2),
    average((i) => bt(i) ** 2),
    average((i) => at(i) * bt(i)),
  ];
  const [c1, c2] = [(0.01 * peak) ** 2, (0.03 * peak) ** 2];
  return meanA.map((m, i) => {
    const n = meanB[i] as number; // all maps have one length
    const covariance = (ab[i] as number) - m * n;
    const variances = (aa[i] as number) - m * m + (bb[i] as number) - n * n;
    return ((2 * m * n + c1) * (2 * covariance + c2)) / ((m * m + n * n + c1) * (variances + c2));
  });
}

/**
 * Structural similarity: Gaussian 11 x 11 window (deviation 1.5), K1 = 0.01, K2 = 0.03, the mean over all window positions
 * that fit and over the three channels; 1 for equal pictures.
 * Source: Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity", eqs. 13-17.
 * @throws NextxError METRIC_BAD_SHAPE, also for sides below 11
 */
export function ssim(a: Uint8Array, b: Uint8Array, width: number, height: number): number {
  requireSameSize(a, b, width * height * 3);
  if (width < windowSide || height < windowSide)
    throw new NextxError("METRIC_BAD_SHAPE", `SSIM needs sides of ${windowSide}, got ${width} x ${height}.`);
  const channelMeans = [0, 1, 2].map((channel) => {
    const plane = (pixels: Uint8Array) =>
      Float64Array.from({ length: width * height }, (_, i) => pixels[i * 3 + channel] as number); // in range
    const map = similarity(plane(a), plane(b), width, height);
    return map.reduce((x, y) => x + y, 0) / map.length;
  });
  return channelMeans.reduce((x, y) => x + y, 0) / 3;
}

/** How close pictures come back from a round trip. */
export interface RoundTripQuality {
  /** dB, from the mean squared error over all pictures; null when all came back as they were. */
  readonly psnr: number | null;
  /** Mean over pictures. */
  readonly ssim: number;
}

/**
 * Pictures of size * size * 3 bytes and what came back of them.
 * @throws NextxError METRIC_BAD_SHAPE, also for sides below 11
 */
export function roundTripQuality(before: Uint8Array, after: Uint8Array, size: number): RoundTripQuality {
  const length = size * size * 3;
  const count = before.length / length;
  requireSameSize(before, after, Math.floor(count) * length);
  let similar = 0;
  for (let at = 0; at < before.length; at += length)
    similar += ssim(before.subarray(at, at + length), after.subarray(at, at + length), size, size);
  const ratio = psnr(before, after);
  return { psnr: Number.isFinite(ratio) ? ratio : null, ssim: similar / count };
}

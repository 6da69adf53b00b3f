/**
 * First step of the checker: reads background and light from a 32 px picture by comparing it with every background that
 * the generator can draw. Pixels are floats from 0 to 255; costs are squared RGB distances, truncated so that what hides
 * the background does not count.
 */
import { analysisSize } from "./compare.ts";
import { type BackgroundTone, backgroundTones } from "./palette.ts";
import { gradientAt } from "./render.ts";

const size = analysisSize;
const numPixels = size * size;

/** Distances beyond 60 count as 60. */
export const truncated = 60 * 60;

/** Background that explains most pixels. */
export interface BackgroundReading {
  readonly background: number;
  readonly light: number;
  /** Predicted background without shadow, 32 * 32 * 3. */
  readonly plane: Float32Array;
}

/** Gradient of each light at each pixel. */
const gradients: readonly Float32Array[] = [0, 1, 2, 3].map((light) =>
  Float32Array.from({ length: numPixels }, (_, i) => gradientAt(light, size, i % size, Math.floor(i / size))),
);

/** Predicted background without shadow, 32 * 32 * 3. */
function backgroundPlane(background: number, light: number): Float32Array {
  const { dark, bright } = backgroundTones[background] as BackgroundTone; // background < 8
  const gradient = gradients[light] as Float32Array; // light < 4
  return Float32Array.from({ length: numPixels * 3 }, (_, i) => {
    const low = dark[i % 3] as number; // channel < 3, also below
    return low + ((bright[i % 3] as number) - low) * (gradient[Math.floor(i / 3)] as number); // in range
  });
}

/** Squared RGB distance of a[i..i+2] and b[j..j+2]. */
export function squaredDistance(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number): number {
  const red = (a[i] as number) - (b[j] as number); // callers stay in range, also below
  const green = (a[i + 1] as number) - (b[j + 1] as number);
  const blue = (a[i + 2] as number) - (b[j + 2] as number);
  return red * red + green * green + blue * blue;
}

/** All backgrounds, tone * 4 + light. */
const backgroundPlanes: readonly Float32Array[] = Array.from({ length: backgroundTones.length * 4 }, (_, i) =>
  backgroundPlane(i >> 2, i & 3),
);

/** Reads tone and light from the pixels that look like background. */
export function readBackground(pixels: Float32Array): BackgroundReading {
  let [best, bestCost] = [0, Number.POSITIVE_INFINITY];
  for (const [candidate, plane] of backgroundPlanes.entries()) {
    let cost = 0;
    for (let i = 0; i < plane.length; i += 3)
      cost += Math.min(squaredDistance(pixels, i, plane, i), truncated);
    if (cost < bestCost) [best, bestCost] = [candidate, cost];
  }
  return { background: best >> 2, light: best & 3, plane: backgroundPlanes[best] as Float32Array }; // best < 32
}

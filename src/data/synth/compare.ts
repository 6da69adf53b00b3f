/**
 * How the checker compares pictures: both are softened first (3 x 3 binomial), so that a picture which a lossy codec
 * blurred a little still matches what the generator draws; squared RGB distances are truncated, so that one bad spot
 * counts once. Pictures are 32 px, floats from 0 to 255.
 */

import type { Masks } from "./masks.ts";
import { type Colours, compose } from "./render.ts";

/** Side of the pictures that the checker works on. */
export const analysisSize = 32;

/** Distances beyond 90 count as 90. */
const truncated = 90 * 90;

/** Box in pixels: left, top, right, bottom (right and bottom excluded). */
export type Box = readonly [number, number, number, number];

/** The whole picture. */
export const wholeBox: Box = [0, 0, analysisSize, analysisSize];

/**
 * The picture after a 3 x 3 binomial filter; the edge repeats. Only rows `first` to `end` (excluded) are worth reading
 * when these are given.
 */
export function soften(picture: Float32Array, first = 0, end = analysisSize): Float32Array {
  const [stride, top, bottom] = [analysisSize * 3, Math.max(first - 1, 0), Math.min(end + 1, analysisSize)];
  const rows = new Float32Array(picture.length);
  const both = new Float32Array(picture.length);
  for (let row = top; row < bottom; row++) {
    for (let i = row * stride; i < (row + 1) * stride; i++) {
      const before = i - row * stride < 3 ? i : i - 3;
      const after = i - row * stride >= stride - 3 ? i : i + 3;
      rows[i] =
        0.25 * ((picture[before] as number) + (picture[after] as number)) + 0.5 * (picture[i] as number); // in range, also below
    }
  }
  for (let row = first; row < end; row++) {
    const above = row === 0 ? 0 : -stride;
    const below = row === analysisSize - 1 ? 0 : stride;
    for (let i = row * stride; i < (row + 1) * stride; i++) {
      both[i] =
        0.25 * ((rows[i + above] as number) + (rows[i + below] as number)) + 0.5 * (rows[i] as number);
    }
  }
  return both;
}

/** Draws masks in colours, softened; only the rows of `box` are worth reading. */
export function drawSoft(masks: Masks, colours: Colours, light: number, box: Box = wholeBox): Float32Array {
  const [, top, , bottom] = box;
  const drawn = compose(masks, colours, light, Math.max(top - 1, 0), Math.min(bottom + 1, analysisSize));
  return soften(drawn, top, bottom);
}

/** Squared RGB distance of two pictures at one pixel. */
export function distanceAt(a: Float32Array, b: Float32Array, pixel: number): number {
  const red = (a[pixel * 3] as number) - (b[pixel * 3] as number); // in range, also below
  const green = (a[pixel * 3 + 1] as number) - (b[pixel * 3 + 1] as number);
  const blue = (a[pixel * 3 + 2] as number) - (b[pixel * 3 + 2] as number);
  return red * red + green * green + blue * blue;
}

/** Mean truncated squared distance in a box. */
export function boxCost(a: Float32Array, b: Float32Array, [left, top, right, bottom]: Box): number {
  let cost = 0;
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      cost += Math.min(distanceAt(a, b, row * analysisSize + column), truncated);
    }
  }
  return cost / ((right - left) * (bottom - top));
}

/** A choice among drawn possibilities. */
export interface Choice {
  /** The best possibility, or undefined when one that means "not there" explains the pixels best. */
  readonly value: number | undefined;
  /** Mean truncated squared RGB distance of the best possibility. */
  readonly cost: number;
}

/** Picks the candidate whose drawing is nearest to the soft pixels in the box. */
export function choose(
  soft: Float32Array,
  box: Box,
  candidates: readonly number[],
  notThere: readonly number[],
  draw: (candidate: number) => Float32Array,
): Choice {
  let [best, cost] = [-1, Number.POSITIVE_INFINITY];
  for (const candidate of candidates) {
    const next = boxCost(soft, draw(candidate), box);
    if (next < cost) [best, cost] = [candidate, next];
  }
  return { value: notThere.includes(best) ? undefined : best, cost };
}

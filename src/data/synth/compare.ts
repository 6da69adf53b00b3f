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

/** One pass of [1 2 1] / 4 along an axis; the edge repeats. */
function pass(from: Float32Array, step: number, position: (pixel: number) => number, to: Float32Array): void {
  for (let pixel = 0; pixel < analysisSize * analysisSize; pixel++) {
    const at = position(pixel);
    const before = at === 0 ? 0 : -step * 3;
    const after = at === analysisSize - 1 ? 0 : step * 3;
    for (let i = pixel * 3; i < pixel * 3 + 3; i++) {
      to[i] = 0.25 * ((from[i + before] as number) + (from[i + after] as number)) + 0.5 * (from[i] as number); // in range
    }
  }
}

/** The picture after a 3 x 3 binomial filter. */
export function soften(picture: Float32Array): Float32Array {
  const rows = new Float32Array(picture.length);
  const both = new Float32Array(picture.length);
  pass(picture, 1, (pixel) => pixel % analysisSize, rows);
  pass(rows, analysisSize, (pixel) => Math.floor(pixel / analysisSize), both);
  return both;
}

/** Draws masks in colours, softened. */
export function drawSoft(masks: Masks, colours: Colours, light: number): Float32Array {
  return soften(compose(masks, colours, light));
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

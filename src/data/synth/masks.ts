/**
 * Geometry of a procedural picture as coverage masks: where the shadow falls, what is white paper, what is coloured and
 * how much of the colour is the second one. Units are 1/32 of the picture; every mask is anti-aliased over one pixel. All
 * places are multiples of 1/4, so distances come from tables (see `tabulated`).
 */
import type { Factors } from "./factors.ts";
import { disc, roundedBox, type SignedDistance, shapeCores, shapeDistances, tabulated } from "./shapes.ts";

/** One value from 0 to 1 per pixel, row-major, size * size. */
export interface Masks {
  readonly size: number;
  readonly shadow: Float32Array;
  /** White paper: sticker border, bead strip, glyph. */
  readonly paper: Float32Array;
  /** Coloured: sticker inside, beads. */
  readonly fill: Float32Array;
  /** Share of the second colour inside `fill`. */
  readonly accent: Float32Array;
}

type StickerFactors = Pick<Factors, "shape" | "layout" | "jitterX" | "jitterY" | "texture" | "shadow">;
type StripFactors = Pick<Factors, "layout" | "count" | "glyph" | "shadow">;

/** x and y sign of the corner that each light comes from. */
export const lightCorners: readonly (readonly [number, number])[] = [
  [-1, -1],
  [1, -1],
  [1, 1],
  [-1, 1],
];

/** Width of the white border of a sticker. */
const border = 1.7;
const shadowOffset = 1.5;
const shadowSoftness = 1.6;

/** Masks of a blank picture. */
export function emptyMasks(size: number): Masks {
  const plane = () => new Float32Array(size * size);
  return { size, shadow: plane(), paper: plane(), fill: plane(), accent: plane() };
}

/** Centre of the sticker. */
export function stickerCentre(layout: number, jitterX: number, jitterY: number): readonly [number, number] {
  const column = layout % 3;
  return [10.25 + 5.75 * column + jitterX / 4, (layout < 3 ? 10.75 : 21.25) + jitterY / 4];
}

/** Centre line of the row with beads and glyph. */
function stripY(layout: number): number {
  return layout < 3 ? 26.5 : 5.5;
}

/** The glyph stands on the right and the beads on the left, the other way round below or above a sticker on the left. */
function mirrored(layout: number): boolean {
  return layout % 3 === 0;
}

/** Pixel boxes of a 32 px picture that hold the beads and the glyph: left, top, right, bottom (the last two excluded). */
export function stripBoxes(
  layout: number,
): Record<"beads" | "glyph", readonly [number, number, number, number]> {
  const [top, bottom] = layout < 3 ? [22, 31] : [1, 10];
  return mirrored(layout)
    ? { beads: [9, top, 32, bottom], glyph: [1, top, 10, bottom] }
    : { beads: [0, top, 23, bottom], glyph: [22, top, 31, bottom] };
}

function clamp01(value: number): number {
  return value < 0 ? 0 : Math.min(value, 1);
}

/** Calls `paint` for every pixel of a box around (centreX, centreY), with its place relative to the centre. */
function eachPixel(
  size: number,
  centre: readonly [number, number],
  reach: readonly [number, number],
  paint: (pixel: number, x: number, y: number) => void,
): void {
  const scale = size / 32;
  const [x0, x1] = [centre[0] - reach[0], centre[0] + reach[0]].map((x) => Math.floor(x * scale)) as [
    number,
    number,
  ]; // two in, two out
  const [y0, y1] = [centre[1] - reach[1], centre[1] + reach[1]].map((y) => Math.floor(y * scale)) as [
    number,
    number,
  ]; // two in, two out
  for (let row = Math.max(y0, 0); row <= Math.min(y1, size - 1); row++) {
    for (let column = Math.max(x0, 0); column <= Math.min(x1, size - 1); column++) {
      paint(row * size + column, (column + 0.5) / scale - centre[0], (row + 0.5) / scale - centre[1]);
    }
  }
}

/** Paints the paper of an object and the shadow it throws. */
function paintPaper(
  masks: Masks,
  paper: SignedDistance,
  centre: readonly [number, number],
  reach: readonly [number, number],
  shadow: number,
): void {
  const scale = masks.size / 32;
  const [cornerX, cornerY] = lightCorners[shadow] as readonly [number, number]; // shadow < 4
  eachPixel(masks.size, centre, [reach[0] + 4, reach[1] + 4], (pixel, x, y) => {
    const cover = clamp01(0.5 - paper(x, y) * scale);
    masks.paper[pixel] = Math.max(masks.paper[pixel] as number, cover); // pixel in range
    const distance = paper(x + cornerX * shadowOffset, y + cornerY * shadowOffset);
    const depth = clamp01(0.5 - distance / (2 * shadowSoftness));
    masks.shadow[pixel] = Math.max(masks.shadow[pixel] as number, depth * depth * (3 - 2 * depth)); // pixel in range
  });
}

/** Coverage of stripes `width` wide with gaps as wide, a gap's centre at 0. */
function stripes(at: number, width: number, scale: number): number {
  const phase = at - 2 * width * Math.floor(at / (2 * width));
  return clamp01(0.5 - (Math.abs(phase - width) - width / 2) * scale);
}

/** Share of the second colour at (x, y), relative to the centre of the sticker. */
function textureAt(texture: number, shape: number, x: number, y: number, scale: number): number {
  switch (texture) {
    case 0:
      return stripes(y, 3, scale);
    case 1:
      return stripes(x, 3, scale);
    case 2: {
      const [a, b] = [stripes(x - 1.75, 3.5, scale), stripes(y - 1.75, 3.5, scale)];
      return a * b + (1 - a) * (1 - b);
    }
    default: {
      const [coreX, coreY] = shapeCores[shape] as readonly [number, number]; // shape < 8
      return clamp01(0.5 - (Math.sqrt((x - coreX) * (x - coreX) + (y - coreY) * (y - coreY)) - 3.3) * scale);
    }
  }
}

/** Adds the sticker. */
export function paintSticker(masks: Masks, factors: StickerFactors): void {
  const scale = masks.size / 32;
  const centre = stickerCentre(factors.layout, factors.jitterX, factors.jitterY);
  const inner = shapeDistances[factors.shape] as SignedDistance; // shape < 8
  paintPaper(masks, (x, y) => inner(x, y) - border, centre, [9.5, 9.5], factors.shadow);
  eachPixel(masks.size, centre, [9.5, 9.5], (pixel, x, y) => {
    const cover = clamp01(0.5 - inner(x, y) * scale);
    if (cover === 0) return;
    masks.fill[pixel] = cover;
    masks.accent[pixel] = textureAt(factors.texture, factors.shape, x, y, scale);
  });
}

const bead = tabulated(disc(1.85));
const beadPitch = 4.5;

function stripHalf(count: number): number {
  return (count * beadPitch + 1.5) / 2;
}

/** Outlines of the strips for 0 to 5 beads; pictures have 1 to 4, the checker also asks for the others. */
const stripDistances = [0, 1, 2, 3, 4, 5].map((count) => tabulated(roundedBox(stripHalf(count), 3.1, 3.1)));

/** Adds the strip of beads, in the main colour on paper. */
export function paintBeads(masks: Masks, factors: Pick<StripFactors, "layout" | "count" | "shadow">): void {
  const scale = masks.size / 32;
  const half = stripHalf(factors.count);
  const centreX = mirrored(factors.layout) ? 30 - half : 2 + half;
  const centreY = stripY(factors.layout);
  const strip = stripDistances[factors.count] as SignedDistance; // count < 6
  paintPaper(masks, strip, [centreX, centreY], [half, 3.1], factors.shadow);
  for (let i = 0; i < factors.count; i++) {
    const beadX = centreX + (i - (factors.count - 1) / 2) * beadPitch;
    eachPixel(masks.size, [beadX, centreY], [2.5, 2.5], (pixel, x, y) => {
      const cover = clamp01(0.5 - bead(x, y) * scale);
      if (cover === 0) return;
      masks.fill[pixel] = cover;
    });
  }
}

const horizontal = roundedBox(3.5, 1.4, 0.6);
const vertical = roundedBox(1.4, 3.5, 0.6);
const glyphDistances: readonly SignedDistance[] = [
  horizontal,
  vertical,
  (x: number, y: number) => Math.min(horizontal(x, y), vertical(x, y)),
  (x: number, y: number) => Math.abs(Math.sqrt(x * x + y * y) - 2.5) - 1.05,
].map(tabulated);

/** Adds the glyph, in paper. */
export function paintGlyph(masks: Masks, factors: Pick<StripFactors, "layout" | "glyph" | "shadow">): void {
  const distance = glyphDistances[factors.glyph] as SignedDistance; // glyph < 4
  const centreX = mirrored(factors.layout) ? 5.5 : 26.5;
  paintPaper(masks, distance, [centreX, stripY(factors.layout)], [3.6, 3.6], factors.shadow);
}

/** Masks of a whole picture. */
export function paintMasks(factors: Factors, size: number): Masks {
  const masks = emptyMasks(size);
  paintSticker(masks, factors);
  paintBeads(masks, factors);
  paintGlyph(masks, factors);
  return masks;
}

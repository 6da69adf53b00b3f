/**
 * Geometry of a procedural picture as coverage masks: where the shadow falls, what is white paper, what is coloured and
 * how much of the colour is the second one. Units are 1/32 of the picture; every mask is anti-aliased over one pixel. All
 * places are multiples of 1/4, so distances come from tables (see `DistanceTable`).
 */
import type { Factors } from "./factors.ts";
import { DistanceTable, disc, roundedBox, shapeCores, shapeOutlines } from "./shapes.ts";

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
const stickerBorder = 1.7;
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

/** An object: its outline, its centre, and how far it reaches from there in x and y. */
interface Stamp {
  readonly outline: DistanceTable;
  readonly centre: readonly [number, number];
  readonly reach: readonly [number, number];
}

/** First and last row or column within `reach` of `centre`, inside the picture. */
function span(size: number, centre: number, reach: number): readonly [number, number] {
  const scale = size / 32;
  const first = Math.floor((centre - reach) * scale);
  return [Math.max(first, 0), Math.min(Math.floor((centre + reach) * scale), size - 1)];
}

/** Paints the paper of an object, `border` wider than its outline, and the shadow it throws. */
function paintPaper(masks: Masks, stamp: Stamp, border: number, shadow: number): void {
  const { size } = masks;
  const scale = size / 32;
  const { outline, centre, reach } = stamp;
  const [cornerX, cornerY] = lightCorners[shadow] as readonly [number, number]; // shadow < 4
  const [left, right] = span(size, centre[0], reach[0] + 4);
  const [top, bottom] = span(size, centre[1], reach[1] + 4);
  for (let row = top; row <= bottom; row++) {
    const y = (row + 0.5) / scale - centre[1];
    for (let column = left; column <= right; column++) {
      const x = (column + 0.5) / scale - centre[0];
      const pixel = row * size + column;
      const cover = clamp01(0.5 - (outline.at(x, y) - border) * scale);
      if (cover > (masks.paper[pixel] as number)) masks.paper[pixel] = cover; // pixel in range, also below
      const distance = outline.at(x + cornerX * shadowOffset, y + cornerY * shadowOffset) - border;
      const depth = clamp01(0.5 - distance / (2 * shadowSoftness));
      const dark = depth * depth * (3 - 2 * depth);
      if (dark > (masks.shadow[pixel] as number)) masks.shadow[pixel] = dark;
    }
  }
}

/** Colours the inside of an outline; `accentAt` gives the share of the second colour. */
function paintFill(masks: Masks, stamp: Stamp, accentAt?: (x: number, y: number) => number): void {
  const { size } = masks;
  const scale = size / 32;
  const { outline, centre, reach } = stamp;
  const [left, right] = span(size, centre[0], reach[0]);
  const [top, bottom] = span(size, centre[1], reach[1]);
  for (let row = top; row <= bottom; row++) {
    const y = (row + 0.5) / scale - centre[1];
    for (let column = left; column <= right; column++) {
      const x = (column + 0.5) / scale - centre[0];
      const cover = clamp01(0.5 - outline.at(x, y) * scale);
      if (cover === 0) continue;
      masks.fill[row * size + column] = cover;
      if (accentAt) masks.accent[row * size + column] = accentAt(x, y);
    }
  }
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
  const stamp: Stamp = {
    outline: shapeOutlines[factors.shape] as DistanceTable, // shape < 8
    centre: stickerCentre(factors.layout, factors.jitterX, factors.jitterY),
    reach: [9.5, 9.5],
  };
  paintPaper(masks, stamp, stickerBorder, factors.shadow);
  const { texture, shape } = factors;
  const scale = masks.size / 32;
  paintFill(masks, stamp, (x, y) => textureAt(texture, shape, x, y, scale));
}

const bead = new DistanceTable(disc(1.85));
const beadPitch = 4.5;

function stripHalf(count: number): number {
  return (count * beadPitch + 1.5) / 2;
}

/** Outlines of the strips for 0 to 5 beads; pictures have 1 to 4, the checker also asks for the others. */
const stripOutlines = [0, 1, 2, 3, 4, 5].map(
  (count) => new DistanceTable(roundedBox(stripHalf(count), 3.1, 3.1)),
);

/** Adds the strip of beads, in the main colour on paper. */
export function paintBeads(masks: Masks, factors: Pick<StripFactors, "layout" | "count" | "shadow">): void {
  const half = stripHalf(factors.count);
  const centreX = mirrored(factors.layout) ? 30 - half : 2 + half;
  const centreY = stripY(factors.layout);
  const outline = stripOutlines[factors.count] as DistanceTable; // count < 6
  paintPaper(masks, { outline, centre: [centreX, centreY], reach: [half, 3.1] }, 0, factors.shadow);
  for (let i = 0; i < factors.count; i++) {
    const beadX = centreX + (i - (factors.count - 1) / 2) * beadPitch;
    paintFill(masks, { outline: bead, centre: [beadX, centreY], reach: [2.5, 2.5] });
  }
}

const horizontal = roundedBox(3.5, 1.4, 0.6);
const vertical = roundedBox(1.4, 3.5, 0.6);
const glyphOutlines: readonly DistanceTable[] = [
  horizontal,
  vertical,
  (x: number, y: number) => Math.min(horizontal(x, y), vertical(x, y)),
  (x: number, y: number) => Math.abs(Math.sqrt(x * x + y * y) - 2.5) - 1.05,
].map((distance) => new DistanceTable(distance));

/** Adds the glyph, in paper. */
export function paintGlyph(masks: Masks, factors: Pick<StripFactors, "layout" | "glyph" | "shadow">): void {
  const outline = glyphOutlines[factors.glyph] as DistanceTable; // glyph < 4
  const centre = [mirrored(factors.layout) ? 5.5 : 26.5, stripY(factors.layout)] as const;
  paintPaper(masks, { outline, centre, reach: [3.6, 3.6] }, 0, factors.shadow);
}

/** Masks of a whole picture. */
export function paintMasks(factors: Factors, size: number): Masks {
  const masks = emptyMasks(size);
  paintSticker(masks, factors);
  paintBeads(masks, factors);
  paintGlyph(masks, factors);
  return masks;
}

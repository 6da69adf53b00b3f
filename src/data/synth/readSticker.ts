/**
 * Second step of the checker: reads the sticker (layout, shape, offset, colours, texture) from a 32 px picture by
 * searching the stickers that the generator can draw for the one that saves most of the cost of calling its pixels
 * background. Pixels are floats from 0 to 255.
 */
import { analysisSize, boxCost, distanceAt, drawSoft, soften } from "./compare.ts";
import { emptyMasks, paintSticker, stickerCentre } from "./masks.ts";
import { accentColours, dot, mainColours, type Rgb } from "./palette.ts";
import { type BackgroundReading, squaredDistance, truncated } from "./readBackground.ts";
import { coloursOf, paperColour, shadowLight } from "./render.ts";
import type { StickerTemplate, TemplateBook } from "./templates.ts";

const size = analysisSize;
const numPixels = size * size;

/** Truncated cost of calling each pixel background (in any depth of shadow) and of calling it paper. */
function pixelCosts(
  pixels: Float32Array,
  plane: Float32Array,
): { background: Float32Array; paper: Float32Array } {
  const background = new Float32Array(numPixels);
  const paper = new Float32Array(numPixels);
  const shaded = new Float32Array(3);
  for (let pixel = 0; pixel < numPixels; pixel++) {
    let dot = 0;
    let norm = 0;
    for (let i = pixel * 3; i < pixel * 3 + 3; i++) {
      dot += (pixels[i] as number) * (plane[i] as number); // i in range
      norm += (plane[i] as number) ** 2; // i in range
    }
    const depth = Math.min(Math.max(dot / norm, shadowLight), 1);
    for (let channel = 0; channel < 3; channel++) {
      shaded[channel] = (plane[pixel * 3 + channel] as number) * depth; // in range
    }
    background[pixel] = Math.min(squaredDistance(pixels, pixel * 3, shaded, 0), truncated);
    paper[pixel] = Math.min(squaredDistance(pixels, pixel * 3, paperColour, 0), truncated);
  }
  return { background, paper };
}

/** What the sticker search found. */
export interface StickerReading {
  readonly shape: number;
  readonly layout: number;
  readonly jitterX: number;
  readonly jitterY: number;
  readonly mainColour: number;
  readonly accent: number;
  readonly texture: number;
}

interface Place {
  readonly shape: number;
  readonly layout: number;
  readonly jitterX: number;
  readonly jitterY: number;
}

interface Scored extends Place {
  readonly gain: number;
}

function templateAt(book: TemplateBook, place: Place): { template: StickerTemplate; origin: number } {
  const [x, y] = stickerCentre(place.layout, place.jitterX, place.jitterY);
  return book.find(place.shape, x * 4, y * 4);
}

type Fit = StickerReading & Scored;
type Costs = ReturnType<typeof pixelCosts>;

/** Cost that is saved by a border of paper, and by an inside that is not background. */
function outlineGain(book: TemplateBook, place: Place, costs: Costs): number {
  const { template, origin } = templateAt(book, place);
  const { borderOffsets, border, fillOffsets } = template;
  let gain = 0;
  for (let i = 0; i < border.length; i++) {
    const pixel = origin + (borderOffsets[i] as number); // same length, also below
    gain += (border[i] as number) * ((costs.background[pixel] as number) - (costs.paper[pixel] as number));
  }
  for (let i = 0; i < fillOffsets.length; i++) {
    gain += (costs.background[origin + (fillOffsets[i] as number)] as number) - 0.3 * truncated; // in range
  }
  return gain;
}

/** Sums that give the error of any two colours without another look at the pixels. */
function fillSums(
  pixels: Float32Array,
  template: StickerTemplate,
  origin: number,
  texture: number,
): Float64Array {
  const { fillOffsets, fill } = template;
  const accents = template.accents[texture] as Float32Array; // texture < 4
  // 0: squares; 1-3: main . pixel; 4-6: accent . pixel; 7: main main; 8: accent accent; 9: main accent
  const sums = new Float64Array(10);
  for (let i = 0; i < fill.length; i++) {
    const cover = fill[i] as number; // i in range
    const second = cover * (accents[i] as number); // i in range
    const first = cover - second;
    const pixel = (origin + (fillOffsets[i] as number)) * 3; // i in range
    for (let channel = 0; channel < 3; channel++) {
      const value = (pixels[pixel + channel] as number) - (1 - cover) * (paperColour[channel] as number); // in range
      sums[0] = (sums[0] as number) + value * value; // ten sums, also below
      sums[1 + channel] = (sums[1 + channel] as number) + first * value;
      sums[4 + channel] = (sums[4 + channel] as number) + second * value;
    }
    sums[7] = (sums[7] as number) + first * first;
    sums[8] = (sums[8] as number) + second * second;
    sums[9] = (sums[9] as number) + first * second;
  }
  return sums;
}

/** Squared error of two colours, from `fillSums`. */
function pairError(sums: Float64Array, main: Rgb, accent: Rgb): number {
  const [squares, m0, m1, m2, a0, a1, a2, mm, aa, ma] = sums as unknown as number[] as [
    ...Rgb,
    ...Rgb,
    ...Rgb,
    number,
  ]; // ten sums
  return (
    squares -
    2 * dot(main, [m0, m1, m2]) -
    2 * dot(accent, [a0, a1, a2]) +
    dot(main, main) * mm +
    dot(accent, accent) * aa +
    2 * dot(main, accent) * ma
  );
}

/** Best colours and texture at a place, and the cost that the sticker saves there. */
function fitFill(book: TemplateBook, place: Place, pixels: Float32Array, costs: Costs): Fit {
  const { template, origin } = templateAt(book, place);
  let best = { mainColour: 0, accent: 0, texture: 0, error: Number.POSITIVE_INFINITY };
  for (let texture = 0; texture < 4; texture++) {
    const sums = fillSums(pixels, template, origin, texture);
    for (let mainColour = 0; mainColour < mainColours.length; mainColour++) {
      for (let accent = 0; accent < 4; accent++) {
        const pair = accentColours[mainColour] as readonly Rgb[]; // mainColour < 8
        const error = pairError(sums, mainColours[mainColour] as Rgb, pair[accent] as Rgb); // accent < 4
        if (error < best.error) best = { mainColour, accent, texture, error };
      }
    }
  }
  let gain = -best.error;
  for (const offset of template.fillOffsets) gain += costs.background[origin + offset] as number; // in range
  for (let i = 0; i < template.border.length; i++) {
    const pixel = origin + (template.borderOffsets[i] as number); // i in range, also below
    gain +=
      (template.border[i] as number) * ((costs.background[pixel] as number) - (costs.paper[pixel] as number));
  }
  const { mainColour, accent, texture } = best;
  return { ...place, mainColour, accent, texture, gain };
}

/** Best outline of every shape in every cell, best first. */
function findOutlines(book: TemplateBook, costs: Costs): Scored[] {
  const outlines: Scored[] = [];
  for (let shape = 0; shape < 8; shape++) {
    for (let layout = 0; layout < 6; layout++) {
      let best: Scored | undefined;
      for (let jitter = 0; jitter < 25; jitter += 2) {
        const place = {
          shape,
          layout,
          jitterX: (jitter % 5) * 2 - 4,
          jitterY: Math.floor(jitter / 5) * 2 - 4,
        };
        const gain = outlineGain(book, place, costs);
        if (!best || gain > best.gain) best = { ...place, gain };
      }
      if (best) outlines.push(best);
    }
  }
  return outlines.sort((a, b) => b.gain - a.gain);
}

/** The best of a candidate and its eight neighbours, a quarter pixel away. */
function refine<T extends Scored>(candidate: T, score: (place: Place) => T): T {
  let best = candidate;
  for (let move = 0; move < 9; move++) {
    const jitterX = candidate.jitterX + (move % 3) - 1;
    const jitterY = candidate.jitterY + Math.floor(move / 3) - 1;
    if (move === 4 || Math.max(Math.abs(jitterX), Math.abs(jitterY)) > 4) continue;
    const next = score({ shape: candidate.shape, layout: candidate.layout, jitterX, jitterY });
    if (next.gain > best.gain) best = next;
  }
  return best;
}

/**
 * Finds the sticker: outlines on a coarse grid of places, then colours and texture inside the best outlines; drawings
 * of these decide.
 */
export function readSticker(
  pixels: Float32Array,
  background: BackgroundReading,
  book: TemplateBook,
): StickerReading {
  const costs = pixelCosts(pixels, background.plane);
  const outline = (place: Place): Scored => ({ ...place, gain: outlineGain(book, place, costs) });
  const fill = (place: Place): Fit => fitFill(book, place, pixels, costs);
  const outlines = findOutlines(book, costs).slice(0, 16);
  const sharper = outlines.map((candidate) => refine(candidate, outline)).sort((a, b) => b.gain - a.gain);
  const fits = sharper.slice(0, 10).map(fill);
  const soft = soften(pixels);
  const around = (fit: Fit) => matchSticker(soft, fit, background).around;
  const nearest = sortBy(fits, around).slice(0, 2);
  const refined = nearest.map((candidate) => refine(candidate, fill));
  return sortBy(refined, around)[0] as StickerReading; // two were refined
}

/** The items by rising key; each key is computed once. */
function sortBy<T>(items: readonly T[], key: (item: T) => number): T[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/** How well the pixels match the sticker as it was read, lit like the background; mean squared RGB distances. */
export interface StickerMatch {
  /** In the box around it, truncated. */
  readonly around: number;
  /** Where it is coloured. */
  readonly inside: number;
}

/** Compares softened pixels with the sticker that was read. */
export function matchSticker(
  soft: Float32Array,
  sticker: StickerReading,
  ground: BackgroundReading,
): StickerMatch {
  const masks = emptyMasks(size);
  paintSticker(masks, { ...sticker, shadow: ground.light });
  const [x, y] = stickerCentre(sticker.layout, sticker.jitterX, sticker.jitterY).map(Math.floor) as [
    number,
    number,
  ]; // two in, two out
  const box = [
    Math.max(x - 9, 0),
    Math.max(y - 9, 0),
    Math.min(x + 10, size),
    Math.min(y + 10, size),
  ] as const;
  const drawn = drawSoft(masks, coloursOf({ ...sticker, background: ground.background }), ground.light, box);
  let [inside, weight] = [0, 0];
  for (let pixel = 0; pixel < numPixels; pixel++) {
    if ((masks.fill[pixel] as number) < 0.5) continue; // pixel in range
    inside += distanceAt(soft, drawn, pixel);
    weight += 1;
  }
  return { around: boxCost(soft, drawn, box), inside: inside / weight };
}

/**
 * Third step of the checker: with background and sticker known, reads beads, glyph and shadow side by drawing each
 * possibility and comparing it with the softened pixels of its box. "Nothing there" is always one of the possibilities.
 */
import { analysisSize, type Choice, choose, drawSoft, wholeBox } from "./compare.ts";
import type { Factors } from "./factors.ts";
import { emptyMasks, paintBeads, paintGlyph, paintMasks, stripBoxes } from "./masks.ts";
import { dot, mainColours } from "./palette.ts";
import { type Colours, paperColour } from "./render.ts";

type Known = Pick<Factors, "layout" | "light" | "shadow">;

/** Counts the beads; 0 and 5 stand for "something else". */
export function readCount(soft: Float32Array, known: Known, colours: Colours): Choice {
  const box = stripBoxes(known.layout).beads;
  return choose(soft, box, [0, 1, 2, 3, 4, 5], [0, 5], (count) => {
    const masks = emptyMasks(analysisSize);
    if (count > 0) paintBeads(masks, { ...known, count });
    return drawSoft(masks, colours, known.light, box);
  });
}

/** Reads the glyph; 4 stands for none. */
export function readGlyph(soft: Float32Array, known: Known, colours: Colours): Choice {
  const box = stripBoxes(known.layout).glyph;
  return choose(soft, box, [0, 1, 2, 3, 4], [4], (glyph) => {
    const masks = emptyMasks(analysisSize);
    if (glyph < 4) paintGlyph(masks, { ...known, glyph });
    return drawSoft(masks, colours, known.light, box);
  });
}

/** Reads the side of the shadow around everything that throws one; 4 stands for no shadow. */
export function readShadow(soft: Float32Array, factors: Factors, colours: Colours): Choice {
  return choose(soft, wholeBox, [0, 1, 2, 3, 4], [4], (shadow) => {
    const masks = paintMasks({ ...factors, shadow: shadow % 4 }, analysisSize);
    if (shadow === 4) masks.shadow.fill(0);
    return drawSoft(masks, colours, factors.light);
  });
}

/** Mean difference between the colour of the beads and paper. */
function beadTint(pixels: Float32Array, known: Known, count: number): [number, number, number] {
  const masks = emptyMasks(analysisSize);
  paintBeads(masks, { ...known, count });
  const tint: [number, number, number] = [0, 0, 0];
  let weight = 0;
  for (let pixel = 0; pixel < masks.fill.length; pixel++) {
    const cover = masks.fill[pixel] as number; // pixel in range, also below
    weight += cover * cover;
    for (const channel of [0, 1, 2] as const) {
      tint[channel] += cover * ((pixels[pixel * 3 + channel] as number) - paperColour[channel]);
    }
  }
  return [tint[0] / weight, tint[1] / weight, tint[2] / weight];
}

/** Main colour of the beads; one that blur mixed with up to half of paper is still itself. */
export function readBeadColour(pixels: Float32Array, known: Known, count: number): number {
  const tint = beadTint(pixels, known, count);
  const distances = mainColours.map((colour) => {
    const full = colour.map((value, i) => value - (paperColour[i] as number)) as [number, number, number]; // i < 3
    const along = dot(tint, full) / dot(full, full);
    const kept = Math.min(Math.max(along, 0.5), 1);
    return dot(tint, tint) - 2 * kept * dot(tint, full) + kept * kept * dot(full, full);
  });
  return distances.indexOf(Math.min(...distances));
}

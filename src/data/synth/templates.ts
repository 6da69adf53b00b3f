/**
 * Sticker templates of the checker: which pixels of a 32 px picture are border and which are filled, for each shape and
 * each quarter-pixel phase. A sticker anywhere in the picture is one of them moved by whole pixels, because stickers
 * never touch the edge.
 */
import { emptyMasks, paintSticker } from "./masks.ts";

/** Pixels of one sticker; offsets are relative to pixel (floor x) + 32 * (floor y) of its centre. */
export interface StickerTemplate {
  readonly borderOffsets: Int32Array;
  /** How much paper covers each border pixel, 0 to 1. */
  readonly border: Float32Array;
  readonly fillOffsets: Int32Array;
  /** How much colour covers each filled pixel, 0 to 1; the rest is paper. */
  readonly fill: Float32Array;
  /** Share of the second colour at each filled pixel, for each texture. */
  readonly accents: readonly [Float32Array, Float32Array, Float32Array, Float32Array];
}

const size = 32;
/** Templates are painted with their centre in pixel (10, 10). */
const origin = 10 * size + 10;

function buildTemplate(shape: number, phaseX: number, phaseY: number): StickerTemplate {
  const painted = [0, 1, 2, 3].map((texture) => {
    const masks = emptyMasks(size);
    paintSticker(masks, {
      shape,
      layout: 0,
      jitterX: phaseX - 1, // cell centre is (10.25, 10.75)
      jitterY: phaseY - 3,
      texture,
      shadow: 0,
    });
    return masks;
  });
  const [first] = painted as [(typeof painted)[number]]; // four were painted
  const pixels = Array.from(first.paper.keys());
  const at = (plane: Float32Array, chosen: readonly number[]) =>
    Float32Array.from(chosen, (pixel) => plane[pixel] as number); // chosen from the plane's keys
  const filled = pixels.filter((pixel) => (first.fill[pixel] as number) > 0.02);
  const edge = pixels.filter(
    (pixel) => (first.paper[pixel] as number) > 0.1 && (first.fill[pixel] as number) <= 0.02,
  );
  return {
    borderOffsets: Int32Array.from(edge, (pixel) => pixel - origin),
    border: at(first.paper, edge),
    fillOffsets: Int32Array.from(filled, (pixel) => pixel - origin),
    fill: at(first.fill, filled),
    accents: painted.map((masks) => at(masks.accent, filled)) as unknown as StickerTemplate["accents"], // four textures
  };
}

/** Templates, built when they are first asked for. */
export class TemplateBook {
  readonly #templates = new Map<number, StickerTemplate>();

  /** Template of a sticker whose centre is (quartersX / 4, quartersY / 4), and the pixel that its offsets count from. */
  find(shape: number, quartersX: number, quartersY: number): { template: StickerTemplate; origin: number } {
    const key = (shape * 4 + (quartersX & 3)) * 4 + (quartersY & 3);
    let template = this.#templates.get(key);
    if (!template) {
      template = buildTemplate(shape, quartersX & 3, quartersY & 3);
      this.#templates.set(key, template);
    }
    return { template, origin: (quartersY >> 2) * size + (quartersX >> 2) };
  }
}

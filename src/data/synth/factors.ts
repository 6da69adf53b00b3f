/**
 * The latent factors of a procedural picture. Coarse factors are drawn; fine ones (texture, glyph, shadow side) are
 * functions of them, so an error in a coarse choice makes the fine detail wrong.
 */
import { NextxError } from "../../tensor/errors.ts";
import type { RandomStream } from "../../tensor/random.ts";
import { backgroundTones, familyNames, shapeNames } from "./palette.ts";

/** Everything that `render` needs; all are integers. */
export interface Factors {
  /** 0-7, index of `shapeNames`. */
  readonly shape: number;
  /** 0-7, index of `mainColours`; 0-3 warm, 4-7 cool. */
  readonly mainColour: number;
  /** 0-3, index of `accentColours[mainColour]`. */
  readonly accent: number;
  /** 0-7, index of `backgroundTones`. */
  readonly background: number;
  /** 0-5, row * 3 + column of the sticker; beads and glyph take the other row. */
  readonly layout: number;
  /** 1-4 beads. */
  readonly count: number;
  /** 0-3, index of `lightNames`. */
  readonly light: number;
  /** Offset of the sticker inside its cell, -4 to 4, in quarters of 1/32 of the picture. */
  readonly jitterX: number;
  readonly jitterY: number;
  /** 0-3, index of `textureNames`; `textureOf` in a valid picture. */
  readonly texture: number;
  /** 0-3, index of `glyphNames`; `glyphOf` in a valid picture. */
  readonly glyph: number;
  /** 0-3, the corner whose light would throw this shadow; equals `light` in a valid picture. */
  readonly shadow: number;
}

/** Class names, label = 2 * shape + family. */
export const synthClassNames: readonly string[] = shapeNames.flatMap((shape) =>
  familyNames.map((family) => `${family} ${shape}`),
);

/** Texture of a shape in a main colour. */
export function textureOf(shape: number, mainColour: number): number {
  return (shape + mainColour + (mainColour >> 2)) % 4;
}

/** Glyph of a layout cell and a count: one bit from the parity of each. */
export function glyphOf(layout: number, count: number): number {
  return 2 * (layout % 2) + (count % 2);
}

/** Number of different pictures, offsets included. */
export const numPictures = 8 * 8 * 4 * 8 * 6 * 4 * 4 * 9 * 9;

/**
 * Draws the factors of one valid picture, of class `label` (0-15) or of a random class.
 * @throws NextxError DATA_BAD_LABEL
 */
export function drawFactors(stream: RandomStream, label?: number): Factors {
  const drawn = stream.integer(synthClassNames.length);
  const chosen = label ?? drawn;
  if (!(Number.isInteger(chosen) && chosen >= 0 && chosen < synthClassNames.length)) {
    throw new NextxError(
      "DATA_BAD_LABEL",
      `A synth label is an integer from 0 to 15, got ${String(label)}.`,
      {
        path: "label",
      },
    );
  }
  const shape = chosen >> 1;
  const mainColour = 4 * (chosen % 2) + stream.integer(4);
  const accent = stream.integer(4);
  const background = stream.integer(backgroundTones.length);
  const layout = stream.integer(6);
  const count = 1 + stream.integer(4);
  const light = stream.integer(4);
  const jitterX = stream.integer(9) - 4;
  const jitterY = stream.integer(9) - 4;
  const texture = textureOf(shape, mainColour);
  const glyph = glyphOf(layout, count);
  return {
    shape,
    mainColour,
    accent,
    background,
    layout,
    count,
    light,
    jitterX,
    jitterY,
    texture,
    glyph,
    shadow: light,
  };
}

/** Class of a picture's factors. */
export function labelOf(factors: Pick<Factors, "shape" | "mainColour">): number {
  return 2 * factors.shape + (factors.mainColour >> 2);
}

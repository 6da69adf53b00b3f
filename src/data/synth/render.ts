/** Draws a procedural picture from its factors: background gradient, shadow, paper, colour, in this order. */
import { NextxError } from "../../tensor/errors.ts";
import type { Factors } from "./factors.ts";
import { lightCorners, type Masks, paintMasks } from "./masks.ts";
import { accentColours, type BackgroundTone, backgroundTones, mainColours, type Rgb } from "./palette.ts";

/** Sides in pixels that the set is drawn in. */
export const synthSizes = [32, 64] as const;

/** Side of a procedural picture in pixels. */
export type SynthSize = (typeof synthSizes)[number];

/** White paper, slightly warm. */
export const paperColour: Rgb = [253, 251, 245];

/** What is left of the background's light in full shadow. */
export const shadowLight = 0.52;

/** Colours of one picture. */
export interface Colours {
  readonly main: Rgb;
  readonly accent: Rgb;
  readonly tone: BackgroundTone;
}

/** Colours of a picture's factors. */
export function coloursOf(factors: Pick<Factors, "mainColour" | "accent" | "background">): Colours {
  return {
    main: mainColours[factors.mainColour] as Rgb, // mainColour < 8
    accent: (accentColours[factors.mainColour] as readonly Rgb[])[factors.accent] as Rgb, // accent < 4
    tone: backgroundTones[factors.background] as BackgroundTone, // background < 8
  };
}

/** Background brightness, 0 (dark) to 1 (bright), at the centre of a pixel. */
export function gradientAt(light: number, size: number, column: number, row: number): number {
  const [cornerX, cornerY] = lightCorners[light] as readonly [number, number]; // light < 4
  return 0.5 + ((cornerX * (column + 0.5 - size / 2) + cornerY * (row + 0.5 - size / 2)) / size) * 0.5;
}

/**
 * Lays the colours over one another where the masks say; one float from 0 to 255 per channel.
 * Rows outside `firstRow` to `endRow` (excluded) stay 0.
 */
export function compose(
  masks: Masks,
  colours: Colours,
  light: number,
  firstRow = 0,
  endRow = masks.size,
): Float32Array {
  const { size, shadow, paper, fill, accent } = masks;
  const out = new Float32Array(size * size * 3);
  for (let pixel = firstRow * size; pixel < endRow * size; pixel++) {
    const bright = gradientAt(light, size, pixel % size, Math.floor(pixel / size));
    const shade = 1 - (1 - shadowLight) * (shadow[pixel] as number); // pixel in range
    const white = paper[pixel] as number; // pixel in range
    const colour = fill[pixel] as number; // pixel in range
    const second = accent[pixel] as number; // pixel in range
    for (let channel = 0; channel < 3; channel++) {
      const dark = colours.tone.dark[channel] as number; // channel < 3
      let value = (dark + ((colours.tone.bright[channel] as number) - dark) * bright) * shade; // channel < 3
      value += ((paperColour[channel] as number) - value) * white; // channel < 3
      const main = colours.main[channel] as number; // channel < 3
      const ink = main + ((colours.accent[channel] as number) - main) * second; // channel < 3
      out[pixel * 3 + channel] = value + (ink - value) * colour;
    }
  }
  return out;
}

/**
 * Draws a picture, also one whose fine factors break the rules.
 * @returns size * size * 3 bytes, RGB, row-major.
 * @throws NextxError DATA_BAD_SIZE
 */
export function render(factors: Factors, size: number): Uint8Array {
  if (!synthSizes.some((known) => known === size)) {
    throw new NextxError("DATA_BAD_SIZE", `synth is drawn at 32 or 64 pixels, got ${String(size)}.`, {
      path: "size",
    });
  }
  const picture = compose(paintMasks(factors, size), coloursOf(factors), factors.light);
  const pixels = new Uint8Array(picture.length);
  for (let i = 0; i < pixels.length; i++) pixels[i] = (picture[i] as number) + 0.5; // i in range; stored rounded down
  return pixels;
}

/**
 * Names and colours of the procedural image set. Colours are 8-bit RGB; the second colours of a main colour were chosen
 * so that a texture stays readable after a lossy tokenizer (far apart in lightness or hue).
 */

/** 8-bit red, green, blue. */
export type Rgb = readonly [number, number, number];

/** Scalar product of two colours or colour differences. */
export function dot(a: Rgb, b: Rgb): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** Silhouettes of the main sticker. */
export const shapeNames = [
  "disc",
  "square",
  "diamond",
  "triangle",
  "star",
  "heart",
  "cross",
  "moon",
] as const;

/** A class is a shape in a warm or a cool main colour: label = 2 * shape + family. */
export const familyNames = ["warm", "cool"] as const;

/** Patterns that the second colour draws over the main colour. */
export const textureNames = ["bands", "columns", "checks", "core"] as const;

/** White marks beside the beads. */
export const glyphNames = ["minus", "bar", "plus", "ring"] as const;

/** Corner that the light comes from, clockwise. */
export const lightNames = ["top left", "top right", "bottom right", "bottom left"] as const;

/** Main colours: 0-3 are warm, 4-7 are cool. */
export const mainColours: readonly Rgb[] = [
  [222, 52, 64], // red
  [246, 126, 26], // orange
  [252, 192, 48], // yellow
  [242, 98, 160], // pink
  [36, 156, 90], // green
  [20, 178, 206], // cyan
  [48, 92, 220], // blue
  [126, 60, 196], // violet
];

const ink: Rgb = [34, 28, 62];
const cream: Rgb = [255, 240, 208];
const lemon: Rgb = [255, 222, 92];
const sky: Rgb = [150, 222, 250];
const berry: Rgb = [148, 20, 84];
const navy: Rgb = [22, 52, 140];
const rose: Rgb = [255, 176, 196];
const mint: Rgb = [150, 240, 190];

/** Four second colours for each main colour. */
export const accentColours: readonly (readonly [Rgb, Rgb, Rgb, Rgb])[] = [
  [ink, cream, lemon, sky],
  [ink, cream, navy, berry],
  [ink, berry, navy, [214, 70, 40]],
  [ink, cream, berry, navy],
  [ink, cream, lemon, rose],
  [ink, cream, navy, berry],
  [ink, cream, lemon, rose],
  [ink, cream, lemon, mint],
];

/** A background runs from its dark colour, away from the light, to its bright colour. */
export interface BackgroundTone {
  readonly dark: Rgb;
  readonly bright: Rgb;
}

/** Background gradients. */
export const backgroundTones: readonly BackgroundTone[] = [
  { dark: [28, 74, 104], bright: [112, 192, 214] }, // lagoon
  { dark: [58, 48, 116], bright: [150, 140, 224] }, // iris
  { dark: [104, 44, 88], bright: [222, 140, 178] }, // mauve
  { dark: [38, 88, 66], bright: [136, 204, 146] }, // meadow
  { dark: [126, 56, 40], bright: [238, 162, 116] }, // clay
  { dark: [112, 84, 36], bright: [226, 198, 122] }, // sand
  { dark: [56, 62, 78], bright: [164, 176, 192] }, // slate
  { dark: [16, 92, 96], bright: [94, 214, 190] }, // jade
];

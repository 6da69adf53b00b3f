/**
 * Says whether a picture is a valid one of its class: reads the factors back from the pixels by analysis through
 * synthesis (no network) and holds them against the rules of the generator. Pictures of 64 px are halved first, so only
 * what a 32 px picture can show is judged.
 */
import { NextxError } from "../../tensor/errors.ts";
import { analysisSize, boxCost, type Choice, drawSoft, soften } from "./compare.ts";
import { type Factors, glyphOf, synthClassNames, textureOf } from "./factors.ts";
import { paintMasks } from "./masks.ts";
import { type BackgroundReading, readBackground } from "./readBackground.ts";
import { matchSticker, readSticker, type StickerMatch, type StickerReading } from "./readSticker.ts";
import { readBeadColour, readCount, readGlyph, readShadow } from "./readStrip.ts";
import { coloursOf } from "./render.ts";
import { TemplateBook } from "./templates.ts";

/**
 * What the checker judges, from coarse to fine. `accent`: the inside matches a main colour with one of its second colours; `beads`: their
 * colour is the main colour; `light`: the shadow falls away from the light; `clean`: nothing else is in the picture.
 */
export const checkedFactors = [
  "layout",
  "shape",
  "colour",
  "accent",
  "texture",
  "count",
  "beads",
  "glyph",
  "light",
  "clean",
] as const;

/** Name of a judged factor. */
export type CheckedFactor = (typeof checkedFactors)[number];

/** Verdict on one picture. */
export interface SynthVerdict {
  /** Every factor passes. */
  readonly pass: boolean;
  readonly factors: Readonly<Record<CheckedFactor, boolean>>;
  /** The factors that explain the pixels best; absent ones were not found. */
  readonly read: Partial<Factors>;
  /** Root mean square RGB distance from the picture drawn from `read` in the worst block of 8 x 8 pixels, 0 to 90. */
  readonly worstBlock: number;
}

/** Pixels as floats at 32 px. */
function toAnalysisSize(pixels: Uint8Array, side: number): Float32Array {
  if (side === analysisSize) return Float32Array.from(pixels);
  const out = new Float32Array(analysisSize * analysisSize * 3);
  for (let i = 0; i < out.length; i++) {
    const [channel, column, row] = [
      i % 3,
      Math.floor(i / 3) % analysisSize,
      Math.floor(i / (3 * analysisSize)),
    ];
    const at = (row * 2 * side + column * 2) * 3 + channel;
    const right = (pixels[at] as number) + (pixels[at + 3] as number); // in range, also below
    out[i] = (right + (pixels[at + side * 3] as number) + (pixels[at + side * 3 + 3] as number)) / 4;
  }
  return out;
}

/** Mean squared RGB distances below which something counts as found; measured on pictures after lossy round trips. */
const limits = {
  /** Around the sticker and inside it. */
  sticker: 40 * 40,
  /** In the boxes of beads and glyph. */
  strip: 40 * 40,
  /** In the worst block of 8 x 8 pixels of the whole picture. */
  block: 50 * 50,
};

/** Mean squared distance in the worst block of 8 x 8 pixels. */
function worstBlock(soft: Float32Array, factors: Factors): number {
  const drawn = drawSoft(paintMasks(factors, analysisSize), coloursOf(factors), factors.light);
  let worst = 0;
  for (let top = 0; top <= analysisSize - 8; top += 4) {
    for (let left = 0; left <= analysisSize - 8; left += 4) {
      worst = Math.max(worst, boxCost(soft, drawn, [left, top, left + 8, top + 8]));
    }
  }
  return worst;
}

/** Filled on demand; the same for every picture. */
const templates = new TemplateBook();

/** Everything that was read and how well it matches. */
interface Reading {
  readonly sticker: StickerReading;
  readonly match: StickerMatch;
  readonly ground: BackgroundReading;
  readonly count: Choice;
  readonly glyph: Choice;
  readonly shadow: Choice;
  /** What was read, with a guess for what was not found. */
  readonly drawn: Factors;
  readonly beads: number;
  readonly worst: number;
}

function readAll(pixels: Float32Array): Reading {
  const soft = soften(pixels);
  const ground = readBackground(pixels);
  const sticker = readSticker(pixels, ground, templates);
  const match = matchSticker(soft, sticker, ground);
  const known = { ...sticker, background: ground.background, light: ground.light, shadow: ground.light };
  const colours = coloursOf(known);
  const count = readCount(soft, known, colours);
  const glyph = readGlyph(soft, known, colours);
  const guess: Factors = { ...known, count: count.value ?? 1, glyph: glyph.value ?? 0 };
  const shadow = readShadow(soft, guess, colours);
  const drawn = { ...guess, shadow: shadow.value ?? guess.light };
  const beads = readBeadColour(pixels, drawn, drawn.count);
  return { sticker, match, ground, count, glyph, shadow, drawn, beads, worst: worstBlock(soft, drawn) };
}

/** The factors that were found. */
function foundFactors({ sticker, ground, count, glyph, shadow }: Reading): Partial<Factors> {
  const { shape, layout, jitterX, jitterY, mainColour, accent, texture } = sticker;
  return {
    ...{ shape, layout, jitterX, jitterY, mainColour, accent, texture },
    ...{ background: ground.background, light: ground.light },
    ...(count.value === undefined ? {} : { count: count.value }),
    ...(glyph.value === undefined ? {} : { glyph: glyph.value }),
    ...(shadow.value === undefined ? {} : { shadow: shadow.value }),
  };
}

/**
 * Judges a picture (size * size * 3 bytes, size 32 or 64) against class `label` (0-15).
 * @throws NextxError DATA_BAD_SIZE, DATA_BAD_LABEL
 */
export function checkSynth(pixels: Uint8Array, size: number, label: number): SynthVerdict {
  requirePicture(pixels, size, label);
  const reading = readAll(toAnalysisSize(pixels, size));
  const { sticker, match, ground, count, glyph, shadow, drawn } = reading;
  const hasCount = count.value !== undefined && count.cost < limits.strip;
  const factors: Record<CheckedFactor, boolean> = {
    clean: reading.worst < limits.block,
    layout: match.around < limits.sticker,
    shape: sticker.shape === label >> 1,
    colour: sticker.mainColour >> 2 === label % 2,
    accent: match.inside < limits.sticker,
    texture: sticker.texture === textureOf(sticker.shape, sticker.mainColour),
    count: hasCount,
    beads: hasCount && reading.beads === sticker.mainColour,
    glyph: hasCount && glyph.value === glyphOf(sticker.layout, drawn.count) && glyph.cost < limits.strip,
    light: shadow.value === ground.light,
  };
  const pass = checkedFactors.every((name) => factors[name]);
  return { pass, factors, read: foundFactors(reading), worstBlock: Math.sqrt(reading.worst) };
}

function requirePicture(bytes: Uint8Array, side: number, label: number): void {
  if ((side !== 32 && side !== 64) || bytes.length !== side * side * 3) {
    throw new NextxError(
      "DATA_BAD_SIZE",
      `The synth checker takes 32 x 32 x 3 or 64 x 64 x 3 bytes, got side ${String(side)} and ${bytes.length} bytes.`,
      { path: "size" },
    );
  }
  if (!(Number.isInteger(label) && label >= 0 && label < synthClassNames.length)) {
    throw new NextxError(
      "DATA_BAD_LABEL",
      `A synth label is an integer from 0 to 15, got ${String(label)}.`,
      {
        path: "label",
      },
    );
  }
}

/** Pictures of the story: a row per model, in the terminal and as one PNG that says how its rows were made. */
import { composeContactSheet } from "../data/contactSheet.ts";
import { encodePng } from "../formats/png.ts";
import { type StoryEvent, storySettings } from "../refinementStory.node.ts";
import { terminalImage } from "./terminalImage.ts";

export type PicturesEvent = Extract<StoryEvent, { kind: "pictures" }>;

const gap = 2;
/** Pixels that a terminal's character stands for, in each direction of a row that is made smaller. */
const terminalStep = 2;

/** The first pictures of a row, as many as the terminal has room for at half their size. */
export function terminalRow({ pixels, size, recipe }: PicturesEvent, columns: number): string {
  const room = Math.floor((terminalStep * columns - gap) / (size + gap));
  const count = Math.max(1, Math.min(recipe.labels.length, room));
  const row = composeContactSheet(pixels.subarray(0, count * size * size * 3), count, size, {
    ...{ columns: count, gap },
  });
  return terminalImage(row, Math.ceil(row.width / terminalStep));
}

/** All rows below each other, enlarged; `version` is that of nextx. */
export function storyPng(rows: readonly PicturesEvent[], version: string): Uint8Array {
  const [first] = rows;
  if (first === undefined) return new Uint8Array(0);
  const { size, classes, recipe } = first;
  const pixels = new Uint8Array(rows.reduce((length, row) => length + row.pixels.length, 0));
  let at = 0;
  for (const row of rows) {
    pixels.set(row.pixels, at);
    at += row.pixels.length;
  }
  const sheet = composeContactSheet(pixels, rows.length * classes.length, size, {
    ...{ columns: classes.length, gap: 2 * gap, scale: 2 },
  });
  const made = {
    ...{ nextx: "demo", version: 1, seed: recipe.seed, settings: storySettings, classes },
    rows: rows.map(({ role, recipe: { model, sha256 } }) => ({ role, model, sha256 })),
    made: { nextx: version },
  };
  return encodePng(sheet, { recipe: made });
}

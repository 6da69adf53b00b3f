/**
 * Noto Emoji: 1,644 colour pictograms in nine groups, resized as a whole from 72 px to 32 or 64 px over white. The folder
 * holds labels.tsv (index, group, group name, code points, name) and emoji-k.png, strips of up to 500. Splits follow from
 * the content at 32 px, because some names share one picture ("family", "family adult, adult, child").
 */
import { readDataFile } from "./dataFiles.node.ts";
import { fitSquare } from "./fitSquare.ts";
import { Fnv64 } from "./hash.ts";
import { dataHomes } from "./homes.ts";
import { parseLabelTable } from "./labelTable.ts";
import { createPictureSet, hashPictures, membersByContent } from "./pictureSet.ts";
import { badDataFile, readStrips } from "./strips.node.ts";
import type { Rgb } from "./synth/palette.ts";
import type { ImageSet, Split } from "./types.ts";

/** Class names in the order of the labels: the groups of Unicode. */
export const emojiClassNames: readonly string[] = [
  "Smileys & Emotion",
  "People & Body",
  "Animals & Nature",
  "Food & Drink",
  "Travel & Places",
  "Activities",
  "Objects",
  "Symbols",
  "Flags",
];

/** Sides in pixels. */
export const emojiSizes = [32, 64] as const;

/** What shines through transparent pixels. */
export const emojiBackground: Rgb = [255, 255, 255];

const home = dataHomes.emoji;
const fileSide = 72;

/** Every picture at another side, one after another. */
function resizeAll(pixels: Uint8Array, count: number, size: number): Uint8Array {
  const [from, to] = [fileSide * fileSide * 3, size * size * 3];
  const out = new Uint8Array(count * to);
  for (let i = 0; i < count; i++) {
    const picture = pixels.subarray(i * from, (i + 1) * from);
    out.set(fitSquare({ width: fileSide, height: fileSide, pixels: picture }, size), i * to);
  }
  return out;
}

/**
 * One split of the emoji at 32 or 64 px; keeps at most 20 MB.
 * @throws NextxError DATA_NOT_FOUND, DATA_UNREADABLE, DATA_BAD_FILE, DATA_EMPTY_SPLIT and the codes of `decodePng`
 */
export async function openEmoji(size: number, split: Split, dataRoot: string): Promise<ImageSet> {
  const text = new TextDecoder().decode(await readDataFile(dataRoot, home, "labels.tsv"));
  const fail = (message: string) => badDataFile(home, "labels.tsv", message);
  const { labels } = parseLabelTable(text, emojiClassNames.length, 5, fail);
  const files = await readStrips(dataRoot, home, labels.length, {
    name: (k) => `emoji-${k}.png`,
    side: fileSide,
    perStrip: 500,
    background: emojiBackground,
  });
  const [smallest] = emojiSizes;
  const small = resizeAll(files, labels.length, smallest);
  const contents = hashPictures(small, smallest);
  const pixels = size === smallest ? small : resizeAll(files, labels.length, size);
  const pictureLength = size * size * 3;
  return createPictureSet({
    id: "emoji",
    split,
    size,
    classNames: emojiClassNames,
    version: new Fnv64().update(contents.join()).update(labels).digest(),
    members: membersByContent(contents, split),
    read: (member) => ({
      pixels: pixels.slice(member * pictureLength, (member + 1) * pictureLength),
      label: labels[member] as number, // members are below the number of labels
    }),
  });
}

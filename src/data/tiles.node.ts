/**
 * Dungeon Crawl Stone Soup tiles: 32 px pixel art in 8 classes, laid over one dark colour. The folder holds labels.tsv
 * (index, class, class name, path) and tiles-k.png, strips of up to 1,000 tiles from top to bottom. Splits follow from
 * the hash of each tile's path.
 */
import { readDataFile } from "./dataFiles.node.ts";
import { Fnv64 } from "./hash.ts";
import { dataHomes } from "./homes.ts";
import { parseLabelTable } from "./labelTable.ts";
import { createPictureSet, membersOfSplit } from "./pictureSet.ts";
import { badDataFile, readStrips } from "./strips.node.ts";
import type { Rgb } from "./synth/palette.ts";
import type { ImageSet, Split } from "./types.ts";

/** Class names in the order of the labels. */
export const tilesClassNames: readonly string[] = [
  "wall",
  "floor",
  "dungeon feature",
  "monster",
  "item",
  "player part",
  "gui icon",
  "effect and misc",
];

/** What shines through transparent pixels. */
export const tilesBackground: Rgb = [24, 22, 32];

const home = dataHomes.tiles;
const size = 32;

/**
 * One split of the tiles at 32 px; keeps 12 MB.
 * @throws NextxError DATA_NOT_FOUND, DATA_UNREADABLE, DATA_BAD_FILE and the codes of `decodePng`
 */
export async function openTiles(split: Split, dataRoot: string): Promise<ImageSet> {
  const text = new TextDecoder().decode(await readDataFile(dataRoot, home, "labels.tsv"));
  const fail = (message: string) => badDataFile(home, "labels.tsv", message);
  const { labels, rest } = parseLabelTable(text, tilesClassNames.length, 4, fail);
  const paths = rest.map(([, path]) => path as string); // two words behind index and class
  const pictureLength = size * size * 3;
  const pixels = await readStrips(dataRoot, home, labels.length, {
    name: (k) => `tiles-${k}.png`,
    side: size,
    perStrip: 1000,
    background: tilesBackground,
  });
  return createPictureSet({
    id: "tiles",
    split,
    size,
    classNames: tilesClassNames,
    version: new Fnv64().update(pixels).update(labels).digest(),
    members: membersOfSplit(paths, split),
    read: (member) => ({
      pixels: pixels.slice(member * pictureLength, (member + 1) * pictureLength),
      label: labels[member] as number, // members are below the number of labels
    }),
  });
}

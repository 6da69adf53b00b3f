/**
 * Dungeon Crawl Stone Soup tiles: 32 px pixel art in 8 classes, laid over one dark colour. The folder holds labels.tsv
 * (index, class, class name, path) and tiles-k.png, strips of up to 1,000 tiles from top to bottom. Splits follow from
 * the hash of each tile's path.
 */
import { decodePng } from "../formats/png.ts";
import { NextxError } from "../tensor/errors.ts";
import { type DataHome, readDataFile } from "./dataFiles.node.ts";
import { Fnv64 } from "./hash.ts";
import { createPictureSet, membersOfSplit } from "./pictureSet.ts";
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

const home: DataHome = {
  folder: "dcss-tiles-32",
  source:
    "https://github.com/crawl/tiles (releases/Nov-2015, packed as strips of 32 px tiles with labels.tsv)",
};
const size = 32;
const tilesPerStrip = 1000;

interface TileLabels {
  readonly labels: Uint8Array;
  readonly paths: readonly string[];
}

function badFile(name: string, message: string): NextxError {
  return new NextxError("DATA_BAD_FILE", message, {
    path: `${home.folder}/${name}`,
    hint: `Get a fresh copy from ${home.source}.`,
  });
}

function parseLabels(text: string): TileLabels {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const rows = lines.slice(1).map((line) => line.replace(/\r$/, "").split("\t"));
  const labels = new Uint8Array(rows.length);
  const paths = rows.map(([index, label, , path], i) => {
    const isClass = label !== undefined && /^[0-7]$/.test(label);
    if (index !== String(i) || !isClass || !path) {
      throw badFile("labels.tsv", `Line ${i + 2} is not "${i}, a class from 0 to 7, its name, a path".`);
    }
    labels[i] = Number(label);
    return path;
  });
  return { labels, paths };
}

/**
 * One split of the tiles at 32 px; keeps 12 MB.
 * @throws NextxError DATA_NOT_FOUND, DATA_UNREADABLE, DATA_BAD_FILE and the codes of `decodePng`
 */
export async function openTiles(split: Split, dataRoot: string): Promise<ImageSet> {
  const text = new TextDecoder().decode(await readDataFile(dataRoot, home, "labels.tsv"));
  const { labels, paths } = parseLabels(text);
  const pictureLength = size * size * 3;
  const pixels = new Uint8Array(labels.length * pictureLength);
  for (let first = 0; first < labels.length; first += tilesPerStrip) {
    const name = `tiles-${first / tilesPerStrip}.png`;
    const strip = decodePng(await readDataFile(dataRoot, home, name), {
      path: `${home.folder}/${name}`,
      background: tilesBackground,
    });
    const count = Math.min(tilesPerStrip, labels.length - first);
    if (strip.width !== size || strip.height !== count * size) {
      throw badFile(name, `Expected ${count} tiles of 32 px, got ${strip.width} x ${strip.height}.`);
    }
    pixels.set(strip.pixels, first * pictureLength);
  }
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

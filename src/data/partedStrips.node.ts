/**
 * Sets whose authors made a training and a test part, each packed as numbered strips with one byte per label. The test
 * part is the test split, whole. The training part is divided by the content of its pictures, about 90 of 100 train and
 * 10 validation; a training picture that is also in the test part is left out. What counts as equal is decided at the
 * smallest size, so a picture is in the same split at every size.
 */
import { areaPool } from "./areaPool.ts";
import { readDataFile } from "./dataFiles.node.ts";
import { Fnv64 } from "./hash.ts";
import type { DataHome } from "./homes.ts";
import { createPictureSet, hashPictures, membersByContent } from "./pictureSet.ts";
import { badDataFile, readStrips } from "./strips.node.ts";
import type { ImageSet, Split } from "./types.ts";

/** What distinguishes one such set. */
export interface PartedStrips {
  readonly id: string;
  readonly home: DataHome;
  readonly classNames: readonly string[];
  /** Name of strip `k` of a part. */
  stripName(part: "train" | "test", k: number): string;
  /** Side in the files, in pixels. */
  readonly side: number;
  /** Smallest side that the set is offered at; divides `side`. */
  readonly smallestSize: number;
  readonly perStrip: number;
}

interface Part {
  /** n * side * side * 3 bytes as in the files. */
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
  /** Hash of each picture at the smallest size. */
  readonly contents: readonly string[];
}

async function readPart(set: PartedStrips, part: "train" | "test", dataRoot: string): Promise<Part> {
  const { home, classNames, side, perStrip, smallestSize } = set;
  const name = `${part}-labels.u8`;
  const labels = await readDataFile(dataRoot, home, name);
  const wrong = labels.findIndex((label) => label >= classNames.length);
  if (labels.length === 0 || wrong >= 0) {
    const got = wrong < 0 ? "no label" : `${labels[wrong]} at byte ${wrong}`;
    throw badDataFile(home, name, `Labels are bytes from 0 to ${classNames.length - 1}, got ${got}.`);
  }
  const layout = { name: (k: number) => set.stripName(part, k), side, perStrip };
  const pixels = await readStrips(dataRoot, home, labels.length, layout);
  const contents = hashPictures(areaPool(pixels, side, side / smallestSize), smallestSize);
  return { pixels, labels, contents };
}

/**
 * One split at `size`, which is `side` divided by a whole number; keeps the bytes of its part.
 * @throws NextxError DATA_NOT_FOUND, DATA_UNREADABLE, DATA_BAD_FILE, DATA_EMPTY_SPLIT and the codes of `decodePng`
 */
export async function openPartedStrips(
  set: PartedStrips,
  size: number,
  split: Split,
  dataRoot: string,
): Promise<ImageSet> {
  const own = await readPart(set, split === "test" ? "test" : "train", dataRoot);
  const withheld = split === "test" ? [] : (await readPart(set, "test", dataRoot)).contents;
  const pixels = areaPool(own.pixels, set.side, set.side / size);
  const pictureLength = size * size * 3;
  const { labels, contents } = own;
  return createPictureSet({
    id: set.id,
    split,
    size,
    classNames: set.classNames,
    version: new Fnv64().update(contents.join()).update(labels).update(withheld.join()).digest(),
    members:
      split === "test"
        ? Uint32Array.from(labels.keys())
        : membersByContent(contents, split, new Set(withheld)),
    read: (member) => ({
      pixels: pixels.slice(member * pictureLength, (member + 1) * pictureLength),
      label: labels[member] as number, // members are below the number of labels
    }),
  });
}

/** Builds an `ImageSet` from pictures that are already in memory, and decides which split a named picture belongs to. */
import { NextxError } from "../tensor/errors.ts";
import { fnv64 } from "./hash.ts";
import type { ImageSet, LabelledImage, Split } from "./types.ts";

/** What a split is made of. */
export interface PictureSource {
  readonly id: string;
  readonly split: Split;
  readonly size: number;
  readonly classNames: readonly string[];
  readonly version: string;
  /** Which pictures of the whole collection belong to the split, in this order. */
  readonly members: Uint32Array;
  /** Picture `member` of the whole collection. */
  read(member: number): LabelledImage;
}

/**
 * A split of a collection.
 * @throws NextxError DATA_EMPTY_SPLIT, DATA_BAD_INDEX (from get)
 */
export function createPictureSet(source: PictureSource): ImageSet {
  const { id, split, size, classNames, version, members } = source;
  if (members.length === 0) {
    throw new NextxError("DATA_EMPTY_SPLIT", `The ${split} split of ${id} has no pictures.`, {
      path: split,
      hint: "Splits are drawn by file name, about 90, 5 and 5 of 100: add pictures or use the train split.",
    });
  }
  return {
    id,
    split,
    size,
    length: members.length,
    classNames,
    version,
    get(index) {
      const member = members[index];
      if (member === undefined) {
        throw new NextxError(
          "DATA_BAD_INDEX",
          `The ${split} split of ${id} has pictures 0 to ${members.length - 1}, got ${String(index)}.`,
          { path: "index" },
        );
      }
      return source.read(member);
    },
  };
}

/**
 * 32 well-mixed bits of a name. FNV-1a alone leaves the last letters in few bits, so numbered names would fall together.
 * Source: the 32-bit finaliser of MurmurHash3 (Appleby, fmix32).
 */
function mixedHash(name: string): number {
  const digest = fnv64(name);
  let bits = Number.parseInt(digest.slice(0, 8), 16) ^ Number.parseInt(digest.slice(8), 16);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** Split of a picture by the hash of its name: about 90 of 100 train, 5 validation, 5 test; stable when others come or go. */
export function splitOfName(name: string): Split {
  const share = mixedHash(name) / 2 ** 32;
  if (share < 0.9) return "train";
  return share < 0.95 ? "validation" : "test";
}

/** Positions of the names that belong to a split. */
export function membersOfSplit(names: readonly string[], split: Split): Uint32Array {
  return Uint32Array.from(names.flatMap((name, i) => (splitOfName(name) === split ? [i] : [])));
}

/** Hash of each of several pictures of size * size * 3 bytes, one after another: equal pictures have equal ones. */
export function hashPictures(pixels: Uint8Array, size: number): string[] {
  const pictureLength = size * size * 3;
  return Array.from({ length: pixels.length / pictureLength }, (_, i) =>
    fnv64(pixels.subarray(i * pictureLength, (i + 1) * pictureLength)),
  );
}

/**
 * Positions of the pictures that belong to a split by their content, so that equal pictures are never in two splits. With
 * a test part elsewhere (`testContents`), what is also in there is left out, and the rest is train or validation, about 90
 * and 10 of 100.
 */
export function membersByContent(
  contents: readonly string[],
  split: Split,
  testContents?: ReadonlySet<string>,
): Uint32Array {
  if (!testContents) return membersOfSplit(contents, split);
  const splitOf = (content: string): Split | undefined => {
    if (testContents.has(content)) return undefined;
    return splitOfName(content) === "train" ? "train" : "validation";
  };
  return Uint32Array.from(contents.flatMap((content, i) => (splitOf(content) === split ? [i] : [])));
}

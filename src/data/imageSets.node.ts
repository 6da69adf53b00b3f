/** The picture data sets by id: what each is, under which licence, and how to open one split of it. */
import { suggestion } from "../formats/suggest.ts";
import { NextxError } from "../tensor/errors.ts";
import { cifar10ClassNames, openCifar10 } from "./cifar10.node.ts";
import { emojiClassNames, emojiSizes, openEmoji } from "./emoji.node.ts";
import { eurosatClassNames, eurosatSizes, openEurosat } from "./eurosat.node.ts";
import { fashionMnistClassNames, openFashionMnist } from "./fashionMnist.node.ts";
import { type DataHome, dataHomes } from "./homes.ts";
import { openImageFolder } from "./imageFolder.node.ts";
import { synthClassNames } from "./synth/factors.ts";
import { synthSizes } from "./synth/render.ts";
import { createSynth } from "./synth/synth.ts";
import { openTiles, tilesClassNames } from "./tiles.node.ts";
import type { ImageSet, Split } from "./types.ts";

/** What opening a set needs. */
export interface OpenOptions {
  /** Side in pixels; one of the set's sizes. */
  readonly size: number;
  readonly split: Split;
  /** Folder that holds the data sets (for `folder`: the folder of classes itself); not needed by `synth`. */
  readonly dataRoot?: string;
}

/** One picture data set. */
export interface ImageSetEntry {
  readonly description: string;
  readonly licence: string;
  /** True when nothing made from the set may ship, neither pictures nor models: numbers and figures only. */
  readonly figuresOnly?: true;
  /** Where its files come from; undefined for what needs none or is the user's own. */
  readonly home?: DataHome;
  /** Undefined when it depends on the files. */
  readonly classNames?: readonly string[];
  readonly numClasses?: number;
  /** Sides in pixels, or undefined when any side from 8 to 512 will do. */
  readonly sizes?: readonly number[];
  /** Opens a split; `openImageSet` has checked size and data root. */
  open(options: OpenOptions & { readonly dataRoot: string }): Promise<ImageSet>;
}

/** Ids of the picture data sets. */
export type ImageSetId = "synth" | "fashion-mnist" | "tiles" | "emoji" | "eurosat" | "cifar10" | "folder";

/** All picture data sets. */
export const imageSets: Readonly<Record<ImageSetId, ImageSetEntry>> = {
  synth: {
    description:
      "Procedural stickers: shape, colours, texture, beads, glyph and shadow; any number, drawn on demand.",
    licence: "MIT",
    classNames: synthClassNames,
    numClasses: synthClassNames.length,
    sizes: synthSizes,
    open: async ({ size, split }) => createSynth({ size: size === 64 ? 64 : 32, split }),
  },
  "fashion-mnist": {
    description:
      "Grey pictures of clothing, 28 px with a border to 32; 55,000 train, 5,000 validation, 10,000 test.",
    licence: "MIT",
    home: dataHomes["fashion-mnist"],
    classNames: fashionMnistClassNames,
    numClasses: fashionMnistClassNames.length,
    sizes: [32],
    open: ({ split, dataRoot }) => openFashionMnist(split, dataRoot),
  },
  tiles: {
    description: "Dungeon Crawl Stone Soup tiles: 3,929 pieces of 32 px pixel art on a dark ground.",
    licence: "CC0-1.0",
    home: dataHomes.tiles,
    classNames: tilesClassNames,
    numClasses: tilesClassNames.length,
    sizes: [32],
    open: ({ split, dataRoot }) => openTiles(split, dataRoot),
  },
  emoji: {
    description:
      "Noto Emoji: 1,644 colour pictograms in nine groups, 72 px resized to 32 or 64 px over white.",
    licence: "Apache-2.0",
    home: dataHomes.emoji,
    classNames: emojiClassNames,
    numClasses: emojiClassNames.length,
    sizes: emojiSizes,
    open: ({ size, split, dataRoot }) => openEmoji(size, split, dataRoot),
  },
  eurosat: {
    description:
      "EuroSAT: satellite photographs of 64 px in ten kinds of land, about 890 train, 110 validation, 300 test.",
    licence: "MIT; contains modified Copernicus Sentinel data",
    home: dataHomes.eurosat,
    classNames: eurosatClassNames,
    numClasses: eurosatClassNames.length,
    sizes: eurosatSizes,
    open: ({ size, split, dataRoot }) => openEurosat(size, split, dataRoot),
  },
  cifar10: {
    description:
      "CIFAR-10: photographs of 32 px in ten classes, about 8,900 train, 1,100 validation, 5,000 test.",
    licence: "none stated: figures only",
    figuresOnly: true,
    home: dataHomes.cifar10,
    classNames: cifar10ClassNames,
    numClasses: cifar10ClassNames.length,
    sizes: [32],
    open: ({ split, dataRoot }) => openCifar10(split, dataRoot),
  },
  folder: {
    description: "Your own pictures: a folder with one sub-folder per class; the middle square, resized.",
    licence: "that of your pictures",
    open: ({ size, split, dataRoot }) => openImageFolder(dataRoot, size, split),
  },
};

/** Whether there is a picture data set of this id. */
export function isImageSetId(id: string): id is ImageSetId {
  return Object.hasOwn(imageSets, id);
}

/** The error for an id that no picture data set has: DATA_UNKNOWN_SET. */
export function unknownImageSet(id: string): NextxError {
  return new NextxError("DATA_UNKNOWN_SET", `There is no picture data set "${id}".`, {
    path: "data",
    hint: suggestion(id, Object.keys(imageSets)),
  });
}

/**
 * Opens one split of a picture data set.
 * @throws NextxError DATA_UNKNOWN_SET, DATA_BAD_SIZE, DATA_BAD_SPLIT, DATA_NO_ROOT, DATA_NOT_FOUND and what the set throws
 */
export async function openImageSet(id: string, options: OpenOptions): Promise<ImageSet> {
  if (!isImageSetId(id)) throw unknownImageSet(id);
  const entry = imageSets[id];
  const { size, split, dataRoot } = options;
  const fits = entry.sizes ? entry.sizes.includes(size) : Number.isInteger(size) && size >= 8 && size <= 512;
  if (!fits) {
    const wanted = entry.sizes?.join(" or ") ?? "8 to 512";
    throw new NextxError("DATA_BAD_SIZE", `${id} has pictures of ${wanted} px, got ${String(size)}.`, {
      path: "size",
    });
  }
  if (!["train", "validation", "test"].includes(split)) {
    throw new NextxError("DATA_BAD_SPLIT", `A split is train, validation or test, got ${String(split)}.`, {
      path: "split",
    });
  }
  if (dataRoot === undefined && id !== "synth") {
    throw new NextxError("DATA_NO_ROOT", `${id} is read from files, but no data folder was given.`, {
      path: "dataRoot",
      hint: "Pass --data FOLDER or set NEXTX_DATA.",
    });
  }
  return entry.open({ size, split, dataRoot: dataRoot ?? "" });
}

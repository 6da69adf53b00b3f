/**
 * Strips: PNG files in which equal squares stand one below the other, so that the decoded pixels are already one picture
 * after another. Several packed sets come as numbered strips.
 */
import { decodePng } from "../formats/png.ts";
import { NextxError } from "../tensor/errors.ts";
import { readDataFile } from "./dataFiles.node.ts";
import type { DataHome } from "./homes.ts";
import type { Rgb } from "./synth/palette.ts";

/** How a set is cut into strips. */
export interface StripLayout {
  /** Name of strip `k`, from 0. */
  name(k: number): string;
  /** Side of a picture in pixels, the width of a strip. */
  readonly side: number;
  /** Pictures of a full strip; the last one may be shorter. */
  readonly perStrip: number;
  /** What shines through transparent pixels; white when absent. */
  readonly background?: Rgb;
}

/** The error for a file of a set that is not what it should be. */
export function badDataFile(home: DataHome, name: string, message: string): NextxError {
  return new NextxError("DATA_BAD_FILE", message, {
    path: `${home.folder}/${name}`,
    hint: `Get a fresh copy from ${home.source}.`,
  });
}

/**
 * `count` pictures as count * side * side * 3 bytes, laid over the background.
 * @throws NextxError DATA_NOT_FOUND, DATA_UNREADABLE, DATA_BAD_FILE and the codes of `decodePng`
 */
export async function readStrips(
  dataRoot: string,
  home: DataHome,
  count: number,
  { name: nameOf, side, perStrip, background }: StripLayout,
): Promise<Uint8Array> {
  const pictureLength = side * side * 3;
  const pixels = new Uint8Array(count * pictureLength);
  for (let first = 0; first < count; first += perStrip) {
    const name = nameOf(first / perStrip);
    const strip = decodePng(await readDataFile(dataRoot, home, name), {
      path: `${home.folder}/${name}`,
      ...(background && { background }),
    });
    const wanted = Math.min(perStrip, count - first);
    if (strip.width !== side || strip.height !== wanted * side) {
      const got = `${strip.width} x ${strip.height}`;
      throw badDataFile(
        home,
        name,
        `Expected ${wanted} pictures of ${side} px, one below the other, got ${got}.`,
      );
    }
    pixels.set(strip.pixels, first * pictureLength);
  }
  return pixels;
}

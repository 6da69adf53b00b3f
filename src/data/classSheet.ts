/** A contact sheet of a set: one row per class, in the order of the class names, with the first pictures of each. */
import type { RgbImage } from "../formats/png.ts";
import { composeContactSheet } from "./contactSheet.ts";
import type { ImageSet } from "./types.ts";

/** A sheet and how many pictures each row holds; a class with few pictures leaves places empty. */
export interface ClassSheet {
  readonly image: RgbImage;
  readonly counts: readonly number[];
}

/**
 * The first `perClass` pictures of every class, enlarged `scale` times.
 * @throws NextxError DATA_BAD_SHAPE
 */
export function composeClassSheet(set: ImageSet, perClass: number, scale = 1): ClassSheet {
  const { size, classNames } = set;
  const pictureLength = size * size * 3;
  const places = classNames.length * perClass;
  const counts = new Array<number>(classNames.length).fill(0);
  const pixels = new Uint8Array(places * pictureLength).fill(40);
  let missing = places;
  for (let i = 0; i < set.length && missing > 0; i++) {
    const picture = set.get(i);
    const count = counts[picture.label] ?? perClass;
    if (count >= perClass) continue;
    pixels.set(picture.pixels, (picture.label * perClass + count) * pictureLength);
    counts[picture.label] = count + 1;
    missing--;
  }
  return { image: composeContactSheet(pixels, places, size, { columns: perClass, scale }), counts };
}

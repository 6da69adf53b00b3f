/** Drawings that mark a part of a picture: light is marked. */
import type { RgbImage } from "../formats/png.ts";
import { fitSquare } from "./fitSquare.ts";

/** size * size bytes, 1 where the middle square of the drawing is light (mean of its channels at least 128). */
export function pictureMask(drawing: RgbImage, size: number): Uint8Array {
  const pixels = fitSquare(drawing, size);
  return Uint8Array.from({ length: size * size }, (_, i) => {
    const sum = (pixels[3 * i] as number) + (pixels[3 * i + 1] as number) + (pixels[3 * i + 2] as number); // inside
    return sum >= 3 * 128 ? 1 : 0;
  });
}

/** The same as a drawing: white is marked, the rest black. */
export function maskPicture(mask: Uint8Array, size: number): RgbImage {
  const pixels = new Uint8Array(size * size * 3);
  for (const [i, mark] of mask.entries()) if (mark !== 0) pixels.fill(255, 3 * i, 3 * i + 3);
  return { width: size, height: size, pixels };
}

/** Writes tiny strips and label files for tests of the packed sets. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encode } from "fast-png";

/** Writes `count` pictures, whose bytes `paint(picture, pixel)` gives, as one strip. */
export async function writeStrip(
  path: string,
  side: number,
  count: number,
  paint: (picture: number, pixel: number) => readonly number[],
): Promise<void> {
  const first = paint(0, 0);
  const channels = first.length as 3 | 4; // what PNG can hold
  const data = new Uint8Array(count * side * side * channels);
  for (let i = 0; i < count * side * side; i++)
    data.set(paint(Math.floor(i / (side * side)), i % (side * side)), i * channels);
  await writeFile(path, encode({ width: side, height: side * count, data, channels, depth: 8 }));
}

/** A part of a set with labels in bytes: strips named by `stripName`, labels counting up. */
export async function writePart(
  root: string,
  folder: string,
  part: "train" | "test",
  layout: { side: number; perStrip: number; count: number; stripName(part: string, k: number): string },
  paint: (picture: number, pixel: number) => readonly number[],
): Promise<void> {
  const { side, perStrip, count, stripName } = layout;
  await mkdir(join(root, folder), { recursive: true });
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
  await writeFile(join(root, folder, `${part}-labels.u8`), labels);
  for (let k = 0; k * perStrip < count; k++) {
    const length = Math.min(perStrip, count - k * perStrip);
    await writeStrip(join(root, folder, stripName(part, k)), side, length, (picture, pixel) =>
      paint(k * perStrip + picture, pixel),
    );
  }
}

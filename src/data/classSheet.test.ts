import { expect, test } from "vitest";
import { composeClassSheet } from "./classSheet.ts";
import { createPictureSet } from "./pictureSet.ts";

test("a row per class, the first pictures of each, empty places where a class has few", () => {
  const set = createPictureSet({
    id: "mine",
    split: "train",
    size: 1,
    classNames: ["often", "never", "once"],
    version: "1",
    members: new Uint32Array([0, 1, 2, 3, 4]),
    read: (member) => ({ pixels: new Uint8Array([100 + member, 0, 0]), label: member === 1 ? 2 : 0 }),
  });
  const { image, counts } = composeClassSheet(set, 3);
  expect(counts).toEqual([3, 0, 1]);
  const red = (row: number, column: number) =>
    image.pixels[((2 + row * 3) * image.width + 2 + column * 3) * 3];
  expect([0, 1, 2].map((row) => [0, 1, 2].map((column) => red(row, column)))).toEqual([
    [100, 102, 103],
    [40, 40, 40],
    [101, 40, 40],
  ]);
});

import { expect, test } from "vitest";
import { areaPool } from "./areaPool.ts";

test("blocks become their mean, picture by picture", () => {
  // two pictures of 4 px: the pixel's own number, then 100
  const pixels = Uint8Array.from({ length: 2 * 16 * 3 }, (_, i) => (i < 48 ? Math.floor(i / 3) : 100));
  const half = areaPool(pixels, 4, 2);
  expect(half.filter((_, i) => i % 3 === 0)).toEqual(
    Uint8Array.from([2.5, 4.5, 10.5, 12.5, 100, 100, 100, 100].map(Math.round)),
  );
  expect(Array.from(areaPool(pixels, 4, 4))).toEqual([8, 8, 8, 100, 100, 100]);
  expect(areaPool(pixels, 4, 1)).toBe(pixels);
});

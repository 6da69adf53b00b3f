import { expect, test } from "vitest";
import { maskPicture, pictureMask } from "./pictureMask.ts";

test("light marks, dark and small specks of light do not", () => {
  const size = 8;
  const drawing = { width: 2 * size, height: 2 * size, pixels: new Uint8Array(4 * size * size * 3) };
  for (let y = 0; y < 8; y++) drawing.pixels.fill(200, y * 16 * 3, (y * 16 + 8) * 3); // a quarter
  drawing.pixels.fill(255, (15 * 16 + 15) * 3); // one pixel of four
  const mask = pictureMask(drawing, size);
  expect(mask.reduce((sum, mark) => sum + mark, 0)).toBe(16);
  expect([mask[0], mask[3], mask[4], mask[3 * size + 3], mask[63]]).toEqual([1, 1, 0, 1, 0]);
  expect(pictureMask(maskPicture(mask, size), size)).toEqual(mask);
});

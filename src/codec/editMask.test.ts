import { expect, test } from "vitest";
import { boxMask, pixelMask, requestMask } from "./editMask.ts";

const box = { y0: 0, x0: 0.25, y1: 0.5, x1: 1 };
/** The box as pixels of a picture of 32. */
const pixels = Uint8Array.from({ length: 32 * 32 }, (_, i) => (i < 16 * 32 && i % 32 >= 8 ? 1 : 0));

test("a drawing of a box marks what the box marks, at every side", () => {
  for (const side of [4, 8, 16, 32])
    for (const inpainting of [true, false])
      expect(pixelMask(side, pixels, inpainting)).toEqual(boxMask(side, box, inpainting));
});

test("a site is marked from half of its pixels on, where sides do not divide, too", () => {
  const one = new Uint8Array(36).fill(1, 0, 2); // two of the nine pixels of the first of four sites
  expect([...pixelMask(2, one, true)]).toEqual([1, 1, 1, 1]);
  expect([...pixelMask(2, Uint8Array.from(one).fill(1, 6, 9), true)]).toEqual([0, 1, 1, 1]);
  expect(pixelMask(5, new Uint8Array(49).fill(1), true)).toEqual(new Float32Array(25));
});

test("what marks nothing, or with two things, is refused", () => {
  const where = "inside";
  expect(requestMask(8, { mask: pixels, where })).toEqual(requestMask(8, { box, where }));
  expect(() => requestMask(8, { mask: new Uint8Array(1024), where })).toThrow(
    expect.objectContaining({ code: "EDIT_BAD_MASK" }),
  );
  expect(() => requestMask(8, { mask: pixels, box, where })).toThrow(
    expect.objectContaining({ code: "EDIT_BAD_MASK" }),
  );
  expect(() => requestMask(8, { where })).toThrow(expect.objectContaining({ code: "EDIT_BAD_MASK" }));
});

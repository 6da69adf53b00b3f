import { expect, test } from "vitest";
import { fitSquare } from "./fitSquare.ts";

const ramp = (width: number, height: number) =>
  Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.floor(i / 3) % width) * 10);

test("the same size is the same picture", () => {
  const pixels = Uint8Array.from({ length: 5 * 5 * 3 }, (_, i) => i * 3);
  expect(fitSquare({ width: 5, height: 5, pixels }, 5)).toEqual(pixels);
});

test("plain colours stay, whatever the sizes", () => {
  for (const [width, height, size] of [
    [1, 1, 8],
    [3, 7, 4],
    [64, 33, 5],
    [9, 9, 32],
  ] as const) {
    const pixels = new Uint8Array(width * height * 3).fill(200);
    expect(new Set(fitSquare({ width, height, pixels }, size))).toEqual(new Set([200]));
  }
});

test("the middle is kept", () => {
  const out = fitSquare({ width: 6, height: 2, pixels: ramp(6, 2) }, 2);
  expect(Array.from(out)).toEqual([20, 20, 20, 30, 30, 30, 20, 20, 20, 30, 30, 30]);
});

test("halving weighs neighbours like Pillow's bilinear filter", () => {
  const out = fitSquare({ width: 4, height: 4, pixels: ramp(4, 4) }, 2);
  // positions 0, 1, 2 with weights 3, 3, 1 of 7 and mirrored
  expect(Array.from(out.subarray(0, 6))).toEqual([7, 7, 7, 23, 23, 23]);
});

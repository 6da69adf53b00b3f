import { expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { floatToImages, imagesToFloat } from "./pixels.ts";

test("every byte survives the way there and back", () => {
  const pixels = Uint8Array.from({ length: 2 * 16 * 16 * 3 }, (_, i) => (i * 7) % 256);
  expect(new Set(pixels).size).toBe(256);
  expect(floatToImages(imagesToFloat(pixels, 2, 16), 2, 16)).toEqual(pixels);
});

test("channels come first, in [-1, 1]", () => {
  const floats = imagesToFloat(new Uint8Array([255, 0, 51, 255, 0, 51, 255, 0, 51, 255, 0, 51]), 1, 2);
  expect(Array.from(floats, (value) => Math.round(value * 10) / 10)).toEqual([
    1, 1, 1, 1, -1, -1, -1, -1, -0.6, -0.6, -0.6, -0.6,
  ]);
});

test("what lies outside is clamped, NaN is black", () => {
  const floats = new Float32Array([-9, 9, Number.NaN]);
  expect(Array.from(floatToImages(floats, 1, 1))).toEqual([0, 255, 0]);
});

test("no pictures are no numbers; a wrong length is refused", () => {
  expect(imagesToFloat(new Uint8Array(0), 0, 8).length).toBe(0);
  expect(() => imagesToFloat(new Uint8Array(5), 1, 1)).toThrow(NextxError);
  expect(() => floatToImages(new Float32Array(3), 1, Number.NaN)).toThrow(NextxError);
});

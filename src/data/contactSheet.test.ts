import { expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { composeContactSheet } from "./contactSheet.ts";

test("pictures stand row by row with gaps, enlarged by whole pixels", () => {
  const pixels = new Uint8Array([1, 1, 1, 2, 2, 2, 3, 3, 3]); // three pictures of one pixel
  const sheet = composeContactSheet(pixels, 3, 1, { columns: 2, gap: 1, scale: 2, gapColour: [9, 9, 9] });
  expect([sheet.width, sheet.height]).toEqual([7, 7]);
  const red = Array.from({ length: 7 }, (_, row) =>
    Array.from({ length: 7 }, (_, column) => sheet.pixels[(row * 7 + column) * 3]).join(""),
  );
  expect(red).toEqual(["9999999", "9119229", "9119229", "9999999", "9339999", "9339999", "9999999"]);
});

test("one picture without gap and scale is itself", () => {
  const pixels = Uint8Array.from({ length: 27 }, (_, i) => i);
  expect(composeContactSheet(pixels, 1, 3, { gap: 0 })).toEqual({ width: 3, height: 3, pixels });
});

test("what is no grid is refused", () => {
  expect(() => composeContactSheet(new Uint8Array(0), 0, 3)).toThrow(NextxError);
  expect(() => composeContactSheet(new Uint8Array(26), 1, 3)).toThrow("27 bytes");
  expect(() => composeContactSheet(new Uint8Array(27), 1, 3, { scale: 1.5 })).toThrow("scale");
});

test("a grid that no PNG takes is refused before it is allocated", () => {
  const sheet = () => composeContactSheet(new Uint8Array(32 * 32 * 3), 1, 32, { columns: 10_000, scale: 64 });
  expect(sheet).toThrow(expect.objectContaining({ code: "DATA_TOO_LARGE", path: "columns" }));
});

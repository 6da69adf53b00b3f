import { expect, it } from "vitest";
import { terminalImage } from "./terminalImage.ts";

it("shows two rows of pixels per line, made smaller to fit", () => {
  const pixels = Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]);
  const image = { width: 2, height: 2, pixels };
  expect(terminalImage(image, 80)).toBe(
    "\u001b[38;2;255;0;0m\u001b[48;2;0;0;255m▀\u001b[38;2;0;255;0m\u001b[48;2;9;9;9m▀\u001b[0m",
  );
  const wide = { width: 8, height: 8, pixels: new Uint8Array(192).fill(7) };
  const lines = terminalImage(wide, 4).split("\n");
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain("38;2;7;7;7");
});

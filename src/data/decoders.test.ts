import { describe, expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { parseIdx } from "./decoders.node.ts";

describe("IDX", () => {
  test("dimensions and bytes", () => {
    const bytes = new Uint8Array([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]);
    expect(parseIdx(bytes, "x")).toEqual({ dims: [1, 3], data: new Uint8Array([7, 8, 9]) });
  });

  test.each([
    [[]],
    [[0, 0, 8]],
    [[0, 0, 13, 1, 0, 0, 0, 1, 7]],
    [[0, 0, 8, 1, 0, 0, 0, 2, 7]],
    [[0, 0, 8, 1, 255, 255, 255, 255, 7]],
    [[0, 0, 8, 255, 0]],
  ])("refuses %j", (bytes) => {
    expect(() => parseIdx(new Uint8Array(bytes), "x")).toThrow(NextxError);
  });
});

import { describe, expect, it } from "vitest";
import { thinned } from "../evaluate/thinned.ts";
import { sparkline } from "./sparkline.ts";

describe("sparkline", () => {
  it("spans from the least to the largest value", () => {
    expect(sparkline([0, 7, 3.5])).toBe("▁█▅");
    expect(sparkline([2, 2])).toBe("▁▁");
    expect(sparkline([])).toBe("");
    expect(sparkline([9, 0, 1], 2)).toBe("▁█");
  });
});

describe("thinned", () => {
  it("gives means of equal stretches, every value in one", () => {
    expect(thinned([1, 2, 3, 4, 5], 2)).toEqual([1.5, 4]);
    expect(thinned([1, 2], 5)).toEqual([1, 2]);
    expect(thinned([], 3)).toEqual([]);
  });
});

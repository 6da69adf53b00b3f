import { expect, it } from "vitest";
import { leastProduct } from "./guidance.ts";

it("weighs every network alike, however large its numbers", () => {
  const grid = [0, 0.75, 1.5];
  expect(leastProduct(grid, [[10, 12, 30]])).toBe(0);
  expect(
    leastProduct(grid, [
      [10, 12, 30],
      [4000, 3000, 2900],
    ]),
  ).toBe(0.75);
});

it("takes the first of equals, and none from an empty grid", () => {
  expect(leastProduct([0.5, 1], [[2, 2]])).toBe(0.5);
  expect(leastProduct([], [])).toBe(0);
});

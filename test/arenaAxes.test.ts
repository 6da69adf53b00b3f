/** Scales of the arena's plot. */
import { expect, it } from "vitest";
import { scaleOf } from "../studio/arenaAxes.ts";

it("keeps all values inside, with round numbers beside them", () => {
  const wide = scaleOf([3, 40, 900], true);
  for (const value of [3, 40, 900]) {
    expect(wide.place(value)).toBeGreaterThan(0);
    expect(wide.place(value)).toBeLessThan(1);
  }
  expect(wide.ticks).toEqual([2, 5, 10, 20, 50, 100, 200, 500, 1000]);
  const even = scaleOf([0, 1], false);
  expect(even.ticks).toEqual([0, 0.5, 1]);
});

it("marks even steps where a logarithm has too few round numbers, and where there is one value", () => {
  expect(scaleOf([3000, 4500], true).ticks.length).toBeGreaterThan(2);
  const one = scaleOf([7], true);
  expect(one.place(7)).toBeCloseTo(0.5, 9);
  expect(one.ticks.every(Number.isFinite)).toBe(true);
});

it("is no logarithm where a value is 0", () => {
  expect(scaleOf([0, 10], true).place(5)).toBeCloseTo(0.5, 9);
});

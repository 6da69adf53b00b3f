/** Scales of the arena's plot. */
import { expect, it } from "vitest";
import {
  labelAt,
  placed,
  placeText,
  readPlace,
  recipeLines,
  type SeriesEntry,
  scaleOf,
  seriesCosts,
  seriesQualities,
} from "../studio/arenaAxes.ts";

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

it("draws what costs nothing as a level, on every axis of cost", () => {
  const entry = (name: string, cost: number): SeriesEntry => ({
    ...{ name, title: name, benchmark: "b", mse: 1, mae: 1, secondsPerStep: 0 },
    ...{ parameters: cost, steps: cost, windowMs: cost, validationMse: [] },
  });
  const entries = [entry("naive", 0), entry("linear", 50)];
  for (const x of seriesCosts) {
    const { points, levels } = placed(entries, x, seriesQualities[0] as (typeof seriesQualities)[0]);
    expect([points, levels].map((all) => all.map((one) => one.entry.name))).toEqual([["linear"], ["naive"]]);
  }
});

it("keeps labels inside the plot", () => {
  expect(labelAt(50, 100, 300)).toEqual({ x: 61, above: false, anchor: "start" });
  expect(labelAt(280, 100, 300)).toEqual({ x: 269, above: false, anchor: "end" });
  const between = labelAt(150, 160, 300);
  expect(between.above).toBe(true);
  expect(between.x + 160).toBeLessThanOrEqual(300);
});

it("has contest, benchmark and entry in the address", () => {
  for (const place of [
    { kind: "series", benchmark: "ETTh1/96", name: "autoformer" },
    { kind: "series", benchmark: "", name: "" },
    { kind: "image", benchmark: "", name: "sar-refined" },
  ] as const)
    expect(readPlace(placeText(place))).toEqual(place);
});

it("names the values of a recipe by their places", () => {
  const recipe = { seed: 1, tokenizer: { chMult: [1, 2], znorm: false }, order: null };
  expect(recipeLines(recipe)).toEqual([
    ["seed", "1"],
    ["tokenizer.chMult", "1, 2"],
    ["tokenizer.znorm", "false"],
    ["order", "null"],
  ]);
});

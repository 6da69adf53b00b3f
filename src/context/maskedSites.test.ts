import { expect, it } from "vitest";
import { scalePlan } from "../plan/scales.ts";
import { RandomStream } from "../tensor/random.ts";
import { drawMask, maskedCounts } from "./maskedSites.ts";

const plan = scalePlan([1, 2, 3]);

it("every group but the first has its share masked, rounded up", () => {
  expect(maskedCounts(plan, 0.4)).toEqual([2, 4]);
  const flags = drawMask(plan, 0.4, RandomStream.from(1, "mask"));
  expect(flags).toHaveLength(13);
  expect(flags.subarray(0, 4).reduce((a, b) => a + b, 0)).toBe(2);
  expect(flags.subarray(4).reduce((a, b) => a + b, 0)).toBe(4);
});

it("the smallest share masks one site, the whole all of them", () => {
  expect(maskedCounts(plan, 1e-9)).toEqual([1, 1]);
  expect([...drawMask(plan, 1, RandomStream.from(1, "mask"))]).toEqual(Array(13).fill(1));
});

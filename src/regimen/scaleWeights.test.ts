import { expect, it } from "vitest";
import { scalePlan } from "../plan/scales.ts";
import { tokenWeights } from "./scaleWeights.ts";

const plan = scalePlan([1, 2, 3, 4, 5, 6, 8, 10, 13, 16]);
const perScale = (weights: Float32Array) =>
  plan.groups.map(({ start, size }) => weights.subarray(start, start + size).reduce((a, b) => a + b, 0));

it("log-normal weights of the official schedule", () => {
  const expected = [0.0247, 0.0642, 0.115, 0.1379, 0.1402, 0.1329, 0.1208, 0.1054, 0.0882, 0.0709];
  for (const [i, share] of perScale(tokenWeights(plan, "lognorm")).entries())
    expect(share).toBeCloseTo(expected[i] as number, 4);
});

it("scales alike sum to their number, tokens alike to 1", () => {
  for (const share of perScale(tokenWeights(plan, "equal"))) expect(share).toBeCloseTo(1, 5);
  expect(tokenWeights(plan, "plain").reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
});

it("one scale takes everything", () => {
  expect([...tokenWeights(scalePlan([2]), "lognorm")]).toEqual([0.25, 0.25, 0.25, 0.25]);
});

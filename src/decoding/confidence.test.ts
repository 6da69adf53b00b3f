import { expect, it } from "vitest";
import { leastConfident } from "./confidence.ts";

it("the least confident sites, the first ones on ties", () => {
  expect([...leastConfident([0.9, 0.1, 0.5, 0.1], 4, 1)]).toEqual([0, 1, 0, 0]);
  expect([...leastConfident([0.9, 0.1, 0.5, 0.1], 4, 3)]).toEqual([0, 1, 1, 1]);
});

it("among candidates only, and no more than there are", () => {
  expect([...leastConfident([0.9, 0.1, 0.5], 3, 2, Uint8Array.of(1, 0, 1))]).toEqual([1, 0, 1]);
  expect([...leastConfident([0.9, 0.1, 0.5], 3, 3, Uint8Array.of(0, 0, 1))]).toEqual([0, 0, 1]);
  expect([...leastConfident([], 0, 0)]).toEqual([]);
});

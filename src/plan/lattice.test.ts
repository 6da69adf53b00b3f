import { expect, it } from "vitest";
import { latticeRaster, storageOrder, wavefrontPlan } from "./lattice.ts";

it("groups sites by distance, row by row inside a group", () => {
  const plan = wavefrontPlan([3, 3]);
  expect(plan.groups.map(({ size }) => size)).toEqual([1, 2, 3, 2, 1]);
  expect([...plan.sites]).toEqual([0, 1, 3, 2, 4, 6, 5, 7, 8]);
  expect(wavefrontPlan([16, 16]).groups).toHaveLength(31);
  expect(wavefrontPlan([4, 16, 16]).groups).toHaveLength(34);
  expect(wavefrontPlan([1, 1]).groups).toHaveLength(1);
});

it("every site comes once", () => {
  for (const shape of [[2, 5], [3, 2, 4], [7]])
    expect([...wavefrontPlan(shape).sites].sort((a, b) => a - b)).toEqual([...latticeRaster(shape).sites]);
});

it("storage order puts the prefix first and sites row by row", () => {
  expect([...storageOrder(wavefrontPlan([2, 2])).groupOf]).toEqual([0, 1, 2, 2, 3]);
});

it("sides must be positive integers", () => {
  for (const shape of [[], [0, 2], [1.5]])
    expect(() => wavefrontPlan(shape)).toThrowError(expect.objectContaining({ code: "PLAN_BAD_LATTICE" }));
});

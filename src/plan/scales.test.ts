import { expect, it } from "vitest";
import { requireGrowing, scalePlan } from "./scales.ts";

it("a plan has its sides in their order, whether or not they grow", () => {
  const { groups, length, groupOf } = scalePlan([1, 2, 2, 1]);
  expect(groups.map(({ side, start, size }) => [side, start, size])).toEqual([
    [1, 0, 1],
    [2, 1, 4],
    [2, 5, 4],
    [1, 9, 1],
  ]);
  expect(length).toBe(10);
  expect([...groupOf]).toEqual([0, 1, 1, 1, 1, 2, 2, 2, 2, 3]);
});

it.each([[[]], [[0]], [[1, -2]], [[1.5]], [[1, Number.NaN]]])("no plan has the sides %j", (sides) => {
  expect(() => scalePlan(sides)).toThrow(expect.objectContaining({ code: "PLAN_BAD_SCHEDULE" }));
});

it("who needs growing sides says so", () => {
  expect(requireGrowing([1, 3, 4])).toEqual([1, 3, 4]);
  for (const [sides, path] of [
    [[2, 2], "patchNums[1]"],
    [[1, 4, 2, 8], "patchNums[2]"],
    [[0, 1], "patchNums[0]"],
  ] as const)
    expect(() => requireGrowing(sides)).toThrow(expect.objectContaining({ code: "PLAN_BAD_SCHEDULE", path }));
});

import { describe, expect, it } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { cellPlan, doublingPlan, entityKinds, entityPlan, subSamplePlan } from "./entities.ts";

const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => i);

describe.each(entityKinds)("%s", (kind) => {
  const plan = entityPlan(kind, 8, 2);
  const map = RandomStream.from(1, kind).normals(3 * 64);

  it("comes back from its sequence exactly", () => {
    const sequence = plan.arrange(map);
    expect(sequence).toHaveLength(plan.length * 3);
    expect(plan.restore(sequence)).toEqual(map);
  });

  it("covers its positions with groups in order, one place each", () => {
    expect(plan.places).toHaveLength(plan.length);
    expect(plan.groups.reduce((end, { start, size }) => (start === end ? end + size : Number.NaN), 0)).toBe(
      plan.length,
    );
    for (const { index, start, size } of plan.groups)
      expect([...plan.groupOf.subarray(start, start + size)]).toEqual(Array(size).fill(index));
    const last = plan.places.slice(-64);
    expect(new Set(last.map(String)).size).toBe(last.length);
    expect(plan.places.flat().every((at) => at >= 0 && at < 8)).toBe(true);
  });

  it("knows nothing before the first group", () => {
    expect(plan.restore(plan.arrange(map), 0)).toEqual(new Float32Array(3 * 64));
  });
});

it("cells are blocks, row by row, and rows inside", () => {
  const plan = cellPlan(4, 2);
  expect([...plan.arrange(numbers(16))]).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
  expect(plan.places.slice(4, 8)).toEqual([
    [0, 2],
    [0, 3],
    [1, 2],
    [1, 3],
  ]);
  const half = plan.restore(plan.arrange(numbers(16)), 2);
  expect([...half]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, ...Array(8).fill(0)]);
});

it("sub-samples take every second row and column", () => {
  expect([...subSamplePlan(4, 2).arrange(numbers(16))]).toEqual([
    ...[0, 2, 8, 10, 1, 3, 9, 11],
    ...[4, 6, 12, 14, 5, 7, 13, 15],
  ]);
});

it("scales are means of blocks, coarse to fine; unfinished ones restore enlarged", () => {
  const plan = doublingPlan(4, 3);
  const sequence = plan.arrange(numbers(16));
  expect([...sequence.subarray(0, 5)]).toEqual([7.5, 2.5, 4.5, 10.5, 12.5]);
  expect([...plan.restore(sequence, 1)]).toEqual(Array(16).fill(7.5));
  expect([...plan.restore(sequence, 2)].slice(0, 4)).toEqual([2.5, 2.5, 4.5, 4.5]);
  expect(plan.places.slice(0, 5)).toEqual([
    [0, 0],
    [0, 0],
    [0, 2],
    [2, 0],
    [2, 2],
  ]);
});

it("sizes: one per token, one for all", () => {
  expect(entityPlan("token", 4, 1).groups).toHaveLength(16);
  expect(entityPlan("image", 4, 1).groups).toHaveLength(1);
});

it("a side is cut into whole parts only", () => {
  for (const make of [() => cellPlan(4, 3), () => subSamplePlan(4, 0), () => doublingPlan(4, 4)])
    expect(make).toThrowError(expect.objectContaining({ code: "PLAN_BAD_ENTITY" }));
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { drawSchedule, officialRule, possibleSides } from "./randomSchedule.ts";

const seeds = fc.integer({ min: 0, max: 2 ** 31 });

describe("random schedules", () => {
  it("grow from 1 and 2, stay in the budget, and use possible sides", () => {
    const possible = new Set(possibleSides(officialRule));
    fc.assert(
      fc.property(seeds, (seed) => {
        const sides = drawSchedule(officialRule, RandomStream.from(seed, "test"));
        expect(sides.slice(0, 2)).toEqual([1, 2]);
        expect([...new Set(sides)].sort((a, b) => a - b)).toEqual(sides);
        expect(sides.reduce((sum, side) => sum + side * side, 0)).toBeLessThanOrEqual(680);
        expect(sides.every((side) => possible.has(side))).toBe(true);
        expect(sides.length).toBeGreaterThanOrEqual(5);
        expect(sides.length).toBeLessThanOrEqual(10);
      }),
    );
  });

  it("follow the stream, use the full schedule now and then, and may drop the last side", () => {
    const stream = RandomStream.from(1, "test");
    const drawn = Array.from({ length: 2000 }, () => drawSchedule(officialRule, stream));
    const again = RandomStream.from(1, "test");
    expect(drawSchedule(officialRule, again)).toEqual(drawn[0]);
    const share = drawn.filter((sides) => String(sides) === String(officialRule.full)).length / drawn.length;
    expect(share).toBeGreaterThan(0.03);
    expect(share).toBeLessThan(0.08);
    expect(drawn.some((sides) => sides.at(-1) !== 16)).toBe(true);
    expect(new Set(drawn.map((sides) => sides.length)).size).toBeGreaterThan(3);
  });

  it("of small rules stop where nothing may be removed", () => {
    const rule = { ...officialRule, full: [1, 2, 4], ranges: [], last: 4, dropAbove: [0, 0, 0], budget: 3 };
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(drawSchedule(rule, RandomStream.from(seed, "test")).length).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});

/** Random scale schedules, one per training step. Source: FlexVAR and SAR `trainer.py`, `gen_curr_patch_nums` (code). */

import type { RandomStream } from "../tensor/random.ts";
import { publishedSides } from "./publishedSides.ts";

/** Sides `from` .. `to`, of which `count` distinct ones are drawn. */
export interface SideRange {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

export interface ScheduleRule {
  /** The schedule used as it is with probability `fullShare`. */
  readonly full: readonly number[];
  readonly fullShare: number;
  /** Always first. */
  readonly first: readonly number[];
  readonly ranges: readonly SideRange[];
  /** Last side before the budget is applied. */
  readonly last: number;
  /** A uniform draw removes one side for each of these it exceeds; never the first two or the last. */
  readonly dropAbove: readonly number[];
  /** Most tokens; what is too much is removed among the last four sides, which may take the last one. */
  readonly budget: number;
}

/** The rule of the released models. Source: code. */
export const officialRule: ScheduleRule = {
  full: publishedSides[256],
  fullShare: 0.05,
  first: [1, 2],
  ranges: [
    { from: 3, to: 10, count: 5 },
    { from: 11, to: 15, count: 2 },
  ],
  last: 16,
  dropAbove: [0.9, 0.95, 0.98, 0.99],
  budget: 680,
};

const tokens = (sides: readonly number[]): number => sides.reduce((sum, side) => sum + side * side, 0);

/** Distinct sides of a range, in growing order. */
function drawRange({ from, to, count }: SideRange, stream: RandomStream): number[] {
  const order = stream.permutation(to - from + 1);
  return Array.from(order.subarray(0, count), (i) => from + i).sort((a, b) => a - b);
}

/** Sides of one step's schedule. */
export function drawSchedule(rule: ScheduleRule, stream: RandomStream): readonly number[] {
  const drawn = () => rule.ranges.flatMap((range) => drawRange(range, stream));
  const isFull = stream.uniform() < rule.fullShare;
  const sides = isFull ? [...rule.full] : [...rule.first, ...drawn(), rule.last];
  const luck = stream.uniform();
  for (const threshold of rule.dropAbove) {
    const removable = sides.length - 3;
    if (luck > threshold && removable > 0) sides.splice(2 + stream.integer(removable), 1);
  }
  while (tokens(sides) > rule.budget && sides.length > 1) {
    const among = Math.min(4, sides.length - 1);
    sides.splice(sides.length - among + stream.integer(among), 1);
  }
  return sides;
}

/** Every side that a rule can draw, growing. */
export function possibleSides(rule: ScheduleRule): readonly number[] {
  const ranges = rule.ranges.flatMap(({ from, to }) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i),
  );
  return [...new Set([...rule.full, ...rule.first, ...ranges, rule.last])].sort((a, b) => a - b);
}

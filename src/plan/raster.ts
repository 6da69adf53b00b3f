/** The next-token plan: one site per step, row by row. */
import type { Group, Plan } from "./types.ts";

/** Groups of one site each, for a `side` x `side` map. */
export function rasterPlan(side: number): Plan {
  const length = side * side;
  const groups = Array.from({ length }, (_, index): Group => ({ index, start: index, size: 1 }));
  return { groups, length, groupOf: Int32Array.from({ length }, (_, i) => i) };
}

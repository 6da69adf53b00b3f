/** The next-scale plan: group s is a whole side x side map, coarse to fine, row-major inside a scale. Source: VAR, section 3. */
import { NextxError } from "../tensor/errors.ts";
import type { Plan, Scale } from "./types.ts";

const badSides = (expected: string, patchNums: readonly number[], index: number): NextxError =>
  new NextxError("PLAN_BAD_SCHEDULE", `Scale sides must be ${expected}, got ${patchNums.join(", ")}.`, {
    path: `patchNums[${index}]`,
  });

/** The sides themselves, of which each is larger than the one before. Errors: PLAN_BAD_SCHEDULE. */
export function requireGrowing(patchNums: readonly number[]): readonly number[] {
  const bad = patchNums.findIndex((side, i) => side <= (patchNums[i - 1] ?? 0));
  if (bad >= 0) throw badSides("growing integers", patchNums, bad);
  return patchNums;
}

/** Groups of the sides `patchNums`, in their order; most systems require that they grow. Errors: PLAN_BAD_SCHEDULE. */
export function scalePlan(patchNums: readonly number[]): Plan<Scale> {
  let start = 0;
  const groups = patchNums.map((side, index): Scale => {
    if (!Number.isInteger(side) || side < 1) throw badSides("integers from 1 on", patchNums, index);
    const group = { index, start, size: side * side, side };
    start += group.size;
    return group;
  });
  if (groups.length === 0)
    throw new NextxError("PLAN_BAD_SCHEDULE", "A schedule needs at least one scale.", { path: "patchNums" });
  const groupOf = Int32Array.from(groups.flatMap((group) => Array<number>(group.size).fill(group.index)));
  return { groups, length: start, groupOf };
}

/** The next-scale plan: group s is a whole side x side map, coarse to fine, row-major inside a scale. Source: VAR, section 3. */
import { NextxError } from "../tensor/errors.ts";
import type { Plan, Scale } from "./types.ts";

/** Groups of the sides `patchNums`, which grow. Errors: PLAN_BAD_SCHEDULE. */
export function scalePlan(patchNums: readonly number[]): Plan<Scale> {
  let start = 0;
  const groups = patchNums.map((side, index): Scale => {
    const former = patchNums[index - 1] ?? 0;
    if (!Number.isInteger(side) || side <= former) {
      throw new NextxError(
        "PLAN_BAD_SCHEDULE",
        `Scale sides must be growing integers, got ${patchNums.join(", ")}.`,
        {
          path: `patchNums[${index}]`,
        },
      );
    }
    const group = { index, start, size: side * side, side };
    start += group.size;
    return group;
  });
  if (groups.length === 0)
    throw new NextxError("PLAN_BAD_SCHEDULE", "A schedule needs at least one scale.", { path: "patchNums" });
  const groupOf = Int32Array.from(groups.flatMap((group) => Array<number>(group.size).fill(group.index)));
  return { groups, length: start, groupOf };
}

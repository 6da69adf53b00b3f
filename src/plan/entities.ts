/**
 * Entities: what is predicted next of a square map of vectors. A token, a cell (block of neighbours), a sub-sample (sites at
 * equal distances), the map at the next scale, or the whole map. Source: xAR, section 3.2, `models/xar.py` for cells (code).
 */
import { NextxError } from "../tensor/errors.ts";
import { planOf } from "./lattice.ts";
import { scalePlan } from "./scales.ts";
import type { EntityPlan } from "./types.ts";

export const entityKinds = ["token", "cell", "sub-sample", "scale", "image"] as const;
export type EntityKind = (typeof entityKinds)[number];

function checkParts(side: number, parts: number): void {
  if (Number.isInteger(parts) && parts > 0 && Number.isInteger(side) && side % parts === 0) return;
  throw new NextxError("PLAN_BAD_ENTITY", `A side of ${side} sites cannot be cut into ${parts} parts.`, {
    path: "parts",
    hint: "Take a divisor of the side.",
  });
}

/** Groups of the sites of the map, each site in one; `groupOf` and the order inside a group go by row-major site. */
function partition(
  side: number,
  groups: number,
  groupOf: (row: number, column: number) => number,
): EntityPlan {
  const sitesOf = Array.from({ length: groups }, (): number[] => []);
  for (let site = 0; site < side ** 2; site++)
    sitesOf[groupOf(Math.floor(site / side), site % side)]?.push(site);
  const { sites, ...plan } = planOf([side, side], sitesOf);
  const { length } = plan;
  return {
    ...plan,
    side,
    places: Array.from(sites, (site) => [Math.floor(site / side), site % side] as const),
    arrange: (map) => {
      const width = map.length / length;
      const out = new Float32Array(map.length);
      for (const [at, site] of sites.entries())
        for (let d = 0; d < width; d++) out[at * width + d] = map[d * length + site] as number; // in range
      return out;
    },
    restore: (sequence, done = groups) => {
      const width = sequence.length / length;
      const out = new Float32Array(sequence.length);
      for (const [at, site] of sites.entries()) {
        if ((plan.groupOf[at] as number) >= done) continue; // one per site
        for (let d = 0; d < width; d++) out[d * length + site] = sequence[at * width + d] as number; // in range
      }
      return out;
    },
  };
}

/** parts x parts blocks, row by row; sites row by row inside. */
export function cellPlan(side: number, parts: number): EntityPlan {
  checkParts(side, parts);
  const cell = side / parts;
  const groupOf = (row: number, column: number) => Math.floor(row / cell) * parts + Math.floor(column / cell);
  return partition(side, parts ** 2, groupOf);
}

/** Entity (a, b) has the sites whose row modulo `parts` is a and whose column modulo `parts` is b. */
export function subSamplePlan(side: number, parts: number): EntityPlan {
  checkParts(side, parts);
  return partition(side, parts ** 2, (row, column) => (row % parts) * parts + (column % parts));
}

/**
 * The whole map at `scales` sides that double up to the last; coarser maps are means of blocks (inferred: FlowAR's way).
 * A sequence with unfinished scales restores to its last finished one, enlarged.
 */
export function doublingPlan(side: number, scales: number): EntityPlan {
  const factors = Array.from({ length: scales }, (_, i) => 2 ** (scales - 1 - i));
  checkParts(side, factors[0] ?? 0);
  const plan = scalePlan(factors.map((factor) => side / factor));
  return {
    ...plan,
    side,
    places: plan.groups.flatMap(({ side: own }) =>
      Array.from({ length: own ** 2 }, (_, i) => {
        const step = side / own;
        return [Math.floor(i / own) * step, (i % own) * step] as const;
      }),
    ),
    arrange: (map) => {
      const width = map.length / side ** 2;
      const out = new Float32Array(plan.length * width);
      for (const { start, side: own } of plan.groups) {
        const factor = side / own;
        for (let i = 0; i < map.length; i++) {
          const [d, row, column] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
          const at = start + Math.floor(row / factor) * own + Math.floor(column / factor);
          out[at * width + d] = (out[at * width + d] as number) + (map[i] as number) / factor ** 2; // in range
        }
      }
      return out;
    },
    restore: (sequence, done = scales) => {
      const width = sequence.length / plan.length;
      const out = new Float32Array(side ** 2 * width);
      const scale = plan.groups[done - 1];
      if (scale === undefined) return out;
      const factor = side / scale.side;
      for (let i = 0; i < out.length; i++) {
        const [d, row, column] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
        const at = scale.start + Math.floor(row / factor) * scale.side + Math.floor(column / factor);
        out[i] = sequence[at * width + d] as number; // in range
      }
      return out;
    },
  };
}

/**
 * The plan of a kind over a side x side map. `parts` are cells or strides per side, or the number of scales; tokens and
 * whole images take none. Errors: PLAN_BAD_ENTITY.
 */
export function entityPlan(kind: EntityKind, side: number, parts: number): EntityPlan {
  switch (kind) {
    case "token":
      return cellPlan(side, side);
    case "image":
      return cellPlan(side, 1);
    case "cell":
      return cellPlan(side, parts);
    case "sub-sample":
      return subSamplePlan(side, parts);
    case "scale":
      return doublingPlan(side, parts);
    default:
      return kind satisfies never;
  }
}

/** Maps [B, D, side, side] as sequences [B, L, D]. */
export function arrangeAll({ arrange }: EntityPlan, maps: Float32Array, batch: number): Float32Array {
  const size = maps.length / batch;
  return joined(Array.from({ length: batch }, (_, b) => arrange(maps.subarray(b * size, (b + 1) * size))));
}

/** Maps [B, D, side, side] of sequences [B, L, D], as `restore` gives them. */
export function restoreAll(
  { restore }: EntityPlan,
  sequences: Float32Array,
  batch: number,
  done?: number,
): Float32Array {
  const size = sequences.length / batch;
  return joined(
    Array.from({ length: batch }, (_, b) => restore(sequences.subarray(b * size, (b + 1) * size), done)),
  );
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const size = parts[0]?.length ?? 0;
  const out = new Float32Array(parts.length * size);
  for (const [i, part] of parts.entries()) out.set(part, i * size);
  return out;
}

/**
 * Orders over the sites of a lattice: by Manhattan distance from the first site, all sites of one distance at once, or one
 * site after the other, row by row. Source: NAR `autoregressive/models/generate.py`, LlamaGen (code).
 */
import { NextxError } from "../tensor/errors.ts";
import type { Group, LatticePlan } from "./types.ts";

/** A plan whose groups have the given sites, in their order. */
export function planOf(shape: readonly number[], groupsOfSites: readonly (readonly number[])[]): LatticePlan {
  let start = 0;
  const groups = groupsOfSites.map(({ length: size }, index): Group => {
    const group = { index, start, size };
    start += size;
    return group;
  });
  const groupOf = Int32Array.from(groups.flatMap(({ index, size }) => Array<number>(size).fill(index)));
  return { shape, groups, length: start, groupOf, sites: Int32Array.from(groupsOfSites.flat()) };
}

/** Coordinates of a row-major site. */
export function coordinates(site: number, shape: readonly number[]): number[] {
  const out: number[] = [];
  let left = site;
  for (const side of [...shape].reverse()) {
    out.unshift(left % side);
    left = Math.floor(left / side);
  }
  return out;
}

function checkShape(shape: readonly number[]): number {
  if (shape.length > 0 && shape.every((side) => Number.isInteger(side) && side > 0))
    return shape.reduce((a, b) => a * b, 1);
  throw new NextxError("PLAN_BAD_LATTICE", `Sides must be positive integers, got ${shape.join(" x ")}.`, {
    path: "shape",
  });
}

/** Groups of growing distance, row-major inside: sum of (side - 1), plus one, groups. Errors: PLAN_BAD_LATTICE. */
export function wavefrontPlan(shape: readonly number[]): LatticePlan {
  const groups: number[][] = [];
  for (let site = 0; site < checkShape(shape); site++) {
    const distance = coordinates(site, shape).reduce((a, b) => a + b, 0);
    groups[distance] ??= [];
    groups[distance].push(site);
  }
  return planOf(shape, groups);
}

/** One site per group, row-major. Errors: PLAN_BAD_LATTICE. */
export function latticeRaster(shape: readonly number[]): LatticePlan {
  return planOf(
    shape,
    Array.from({ length: checkShape(shape) }, (_, site) => [site]),
  );
}

/** Group of every place in storage order, a prefix token first: 0, then 1 + group of each row-major site. */
export function storageOrder({ sites, groupOf, length }: LatticePlan) {
  const order = new Int32Array(length + 1);
  for (const [position, site] of sites.entries()) order[1 + site] = 1 + (groupOf[position] as number); // same length
  return { length: length + 1, groupOf: order };
}

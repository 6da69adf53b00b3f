/**
 * From several heads over a lattice to one distribution per site: each head predicts the next site along one axis, and where
 * heads meet their logits are averaged (not their losses). Source: NAR `gpt.py`, `generate.py` (code).
 * Shape letters: B batch, L sites, V codes. Head k follows axis (rank - 1 - k): right, below, next frame.
 */
import type { LatticePlan } from "../plan/types.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { pad, reshape, slice } from "../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../tensor/tensor.ts";
import type { LatticeHeads } from "./types.ts";

/** Coordinate of a row-major site along an axis. */
const coordinateOf = (site: number, axis: number, shape: readonly number[]): number => {
  const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  return Math.floor(site / stride) % (shape[axis] ?? 1);
};

/** Which of the heads that reach a site are heard there. */
export type Overlap = (heads: readonly number[]) => readonly number[];
/** The official one: all of them. */
const average: Overlap = (heads) => heads;

/** Heads that predict a site: those whose neighbour exists, all of them the first one; of these, what `overlap` leaves. */
function headsOf(site: number, shape: readonly number[], overlap: Overlap): readonly number[] {
  const all = shape.map((_, k) => k);
  if (site === 0) return overlap(all);
  return overlap(all.filter((k) => coordinateOf(site, shape.length - 1 - k, shape) > 0));
}

/** One head per axis; the plan is that of growing distance. */
export function neighbourHeads({ shape, sites, groups }: LatticePlan, overlap = average): LatticeHeads {
  const length = sites.length;
  /** What a head counts at every site. */
  const shares = (head: number) =>
    Float32Array.from({ length }, (_, site) => {
      const heard = headsOf(site, shape, overlap);
      return heard.includes(head) ? 1 / heard.length : 0;
    });
  return {
    heads: shape.length,
    combine: (heads) => {
      const parts = heads.map((head, k) => {
        const [b, v] = [dimOf(head, 0), dimOf(head, 2)];
        const axis = shape.length - 1 - k;
        const grid = reshape(slice(head, 1, 1, length + 1), [b, ...shape, v]);
        const moved = pad(slice(grid, axis + 1, 0, (shape[axis] as number) - 1), axis + 1, 1, 0); // shape's own axis
        const start = pad(slice(head, 1, 0, 1), 1, 0, length - 1);
        return mul(add(reshape(moved, [b, length, v]), start), constant(shares(k), [length, 1]));
      });
      return parts.reduce((a, b) => add(a, b));
    },
    sources: ({ index, start, size }) => {
      if (index === 0) return [headsOf(0, shape, overlap).map((head) => ({ head, index: 0 }))];
      const before = groups[index - 1]?.start ?? 0;
      return Array.from(sites.subarray(start, start + size), (site) =>
        headsOf(site, shape, overlap).map((head) => {
          const stride = shape.slice(shape.length - head).reduce((a, b) => a * b, 1);
          return { head, index: sites.indexOf(site - stride, before) - before };
        }),
      );
    },
  };
}

/** One head that predicts the next site in row-major order. */
export function nextSiteHead({ length }: LatticePlan): LatticeHeads {
  return {
    heads: 1,
    combine: ([head]) => slice(head as Tensor, 1, 0, length), // one head
    sources: () => [[{ head: 0, index: 0 }]],
  };
}

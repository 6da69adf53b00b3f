/** The plan axis: which sites are predicted together, in which order. */

/** Sites predicted in one step; `start` is the position of the first in the flat token order. */
export interface Group {
  readonly index: number;
  readonly start: number;
  readonly size: number;
}

/** A group that is a whole square map. */
export interface Scale extends Group {
  /** Sites along one side. */
  readonly side: number;
}

/** Ordered groups that cover positions 0 .. length - 1. */
export interface Plan<G extends Group = Group> {
  readonly groups: readonly G[];
  readonly length: number;
  /** Group index of every position. */
  readonly groupOf: Int32Array;
}

/** Sites of a lattice (rows and columns, or frames too), in an order of its own. */
export interface LatticePlan extends Plan {
  /** Sites along each axis, the slowest first. */
  readonly shape: readonly number[];
  /** Row-major number of the site at every position. */
  readonly sites: Int32Array;
}

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

/** Groups that cover a square map of vectors in some way, and how the map becomes a sequence and comes back. */
export interface EntityPlan extends Plan {
  /** Sites along one side of the map. */
  readonly side: number;
  /** Row and column of every position, in sites of the map; those of coarser maps lie whole steps apart. */
  readonly places: readonly (readonly [number, number])[];
  /** A map [D, side, side] as a sequence [length, D]. */
  arrange(map: Float32Array): Float32Array;
  /** The map of a sequence of which the first `done` groups count (all when absent); sites still unknown are 0. */
  restore(sequence: Float32Array, done?: number): Float32Array;
}

/** Every op a graph can contain, by name: what runtimes, passes, documentation and tests enumerate. */
import { elementwiseOps } from "./ops/elementwise.ts";
import { gatherOps } from "./ops/gather.ts";
import { linearOps } from "./ops/linear.ts";
import { neuralOps } from "./ops/neural.ts";
import { quantisedOps } from "./ops/quantised.ts";
import { structureOps } from "./ops/structure.ts";
import { windowOps } from "./ops/window.ts";
import { type Op, sourceOps } from "./tensor.ts";

/** Name -> op. Names are unique: passes identify ops by them. */
export const opTable: ReadonlyMap<string, Op> = new Map(
  [
    ...sourceOps,
    ...elementwiseOps,
    ...structureOps,
    ...gatherOps,
    ...linearOps,
    ...neuralOps,
    ...windowOps,
    ...quantisedOps,
  ].map((op) => [op.name, op]),
);

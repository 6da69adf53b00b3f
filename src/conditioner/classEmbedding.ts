/** A table of class vectors whose last row means "no class". Source: VAR `models/var.py`, `class_emb` (code). */
import type { Initializer, Scope } from "../nn/scope.ts";
import { NextxError } from "../tensor/errors.ts";
import { gatherRows } from "../tensor/ops/gather.ts";
import type { LabelConditioner } from "./types.ts";

/** The table is `scope`'s parameter `weight`, [numClasses + 1, width]. */
export function classEmbedding(
  scope: Scope,
  numClasses: number,
  width: number,
  init: Initializer,
): LabelConditioner {
  return {
    numClasses,
    nullLabel: numClasses,
    vector: (labels) => gatherRows(scope.param("weight", [numClasses + 1, width], init), labels),
  };
}

/** Labels with a share of them dropped: `draw` gives a uniform number per label. */
export function dropLabels(
  labels: Int32Array,
  { nullLabel }: Pick<LabelConditioner, "nullLabel">,
  rate: number,
  draw: () => number,
): Int32Array {
  return labels.map((label) => (draw() < rate ? nullLabel : label));
}

/** Labels of a request: 0 to numClasses, the last meaning "no class". Errors: LABEL_OUT_OF_RANGE. */
export function checkLabels(labels: Int32Array, { numClasses }: Pick<LabelConditioner, "numClasses">): void {
  const bad = labels.find((label) => label < 0 || label > numClasses);
  if (bad === undefined) return;
  throw new NextxError("LABEL_OUT_OF_RANGE", `Class ${bad} does not exist: 0 to ${numClasses - 1}.`, {
    path: "class",
  });
}

/** What goes through a model twice where guidance is wanted: with the class, and without one. */
import { floats, ints, type Value } from "../runtime/values.ts";

/** Labels of all branches, one after the other: those given, and with two branches as many of "no class". */
export const branchLabels = (labels: Int32Array, nullLabel: number, branches: number): number[] =>
  branches === 2 ? [...labels, ...labels.map(() => nullLabel)] : [...labels];

/** The same rows for every branch: [B, ...] -> [G, B, ...]. */
export function repeat({ data, shape }: Value, branches: number): Value {
  const repeated = new Float32Array(data.length * branches);
  for (let i = 0; i < branches; i++) repeated.set(data as Float32Array, i * data.length); // embedded: float32
  return floats(repeated, [branches, ...shape]);
}

/** Positions of consecutive sites: [N]. */
export const placesFrom = (start: number, count: number): Value =>
  ints(
    Int32Array.from({ length: count }, (_, i) => start + i),
    [count],
  );

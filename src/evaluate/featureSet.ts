/**
 * Features of pictures: n rows of d numbers, and the checks that every metric makes at its door. A metric never answers
 * for NaN, for too few samples or for two sets from different extractors.
 */
import { NextxError } from "../tensor/errors.ts";

/** `count` rows of `dims` numbers, row-major. */
export interface FeatureSet {
  readonly data: Float32Array | Float64Array;
  readonly count: number;
  readonly dims: number;
}

/**
 * Checks one set; `path` names it in errors.
 * @throws NextxError METRIC_BAD_SHAPE, METRIC_TOO_FEW_SAMPLES, METRIC_NOT_FINITE
 */
export function requireFeatures({ data, count, dims }: FeatureSet, least: number, path: string): void {
  const isShape =
    Number.isSafeInteger(count) && Number.isSafeInteger(dims) && dims >= 1 && data.length === count * dims;
  if (!isShape) {
    throw new NextxError("METRIC_BAD_SHAPE", `${data.length} numbers are not ${count} rows of ${dims}.`, {
      path,
    });
  }
  if (count < least) {
    throw new NextxError("METRIC_TOO_FEW_SAMPLES", `This metric needs ${least} samples, got ${count}.`, {
      path,
      hint: "Take more samples.",
    });
  }
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) continue;
    throw new NextxError(
      "METRIC_NOT_FINITE",
      `Feature ${i % dims} of sample ${Math.floor(i / dims)} is ${data[i]}.`,
      {
        path,
        hint: "Look at that picture and at the extractor's weights.",
      },
    );
  }
}

/**
 * Checks two sets that are to be compared.
 * @throws NextxError METRIC_DIMS_DIFFER and the codes of requireFeatures
 */
export function requirePair(real: FeatureSet, generated: FeatureSet, least: number): void {
  requireFeatures(real, least, "real");
  requireFeatures(generated, least, "generated");
  if (real.dims === generated.dims) return;
  throw new NextxError(
    "METRIC_DIMS_DIFFER",
    `The sets have ${real.dims} and ${generated.dims} features per picture.`,
    { path: "generated", hint: "Use the same extractor for both." },
  );
}

/** The rows at some positions, as a new set. */
export function takeRows({ data, dims }: FeatureSet, rows: ArrayLike<number>): FeatureSet {
  const taken =
    data instanceof Float64Array
      ? new Float64Array(rows.length * dims)
      : new Float32Array(rows.length * dims);
  for (let i = 0; i < rows.length; i++) {
    const from = (rows[i] as number) * dims; // in range
    taken.set(data.subarray(from, from + dims), i * dims);
  }
  return { data: taken, count: rows.length, dims };
}

/** Sets of the same extractor one after the other. @throws NextxError METRIC_DIMS_DIFFER, METRIC_TOO_FEW_SAMPLES */
export function joinFeatures(parts: readonly FeatureSet[]): FeatureSet {
  const [head] = parts;
  if (head === undefined) throw new NextxError("METRIC_TOO_FEW_SAMPLES", "There are no features to join.");
  const count = parts.reduce((total, part) => total + part.count, 0);
  const data = new Float32Array(count * head.dims);
  let at = 0;
  for (const part of parts) {
    if (part.dims !== head.dims)
      throw new NextxError("METRIC_DIMS_DIFFER", `Parts have ${head.dims} and ${part.dims} features.`);
    data.set(part.data, at);
    at += part.data.length;
  }
  return { data, count, dims: head.dims };
}

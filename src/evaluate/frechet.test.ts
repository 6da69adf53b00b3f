/**
 * References by numpy 2.4 in float64, on the numbers of testing/lcg.ts: m = a.mean(0), c = np.cov(a, rowvar=False),
 * w, v = eigh(c1), s = v sqrt(w) v^T, covariance term = tr c1 + tr c2 - 2 sum sqrt(eigvalsh(s c2 s)).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import type { FeatureSet } from "./featureSet.ts";
import { takeRows } from "./featureSet.ts";
import { frechetDistance, frechetEstimate, frechetOfMoments } from "./frechet.ts";
import { MomentAccumulator, type Moments, momentsOf } from "./moments.ts";
import { lcgFeatures } from "./testing/lcg.ts";

const withCode = (code: string) => expect.objectContaining({ code });
const gaussian = (mean: number[], covariance: number[]): Moments => ({
  count: 1000,
  dims: mean.length,
  mean: Float64Array.from(mean),
  covariance: Float64Array.from(covariance),
});
const normals = (seed: number, count: number, dims: number, scale = 1): FeatureSet => ({
  data: Float64Array.from(RandomStream.from(seed, "test").normals(count * dims)).map((x) => x * scale),
  count,
  dims,
});

describe("closed forms", () => {
  it("is the squared distance of means plus that of standard deviations for diagonal covariances", () => {
    const a = gaussian([0, 1, 2], [1, 0, 0, 0, 4, 0, 0, 0, 9]);
    const b = gaussian([1, 1, 0], [4, 0, 0, 0, 4, 0, 0, 0, 1]);
    // (1-2)^2 + (2-2)^2 + (3-1)^2 and 1 + 0 + 4
    const found = frechetOfMoments(a, b);
    expect(found.meanTerm).toBeCloseTo(5, 12);
    expect(found.covarianceTerm).toBeCloseTo(5, 12);
  });

  it("knows rotated covariances that do not commute", () => {
    // tr (C1 C2)^(1/2) of 2 x 2 matrices is sqrt(tr(C1 C2) + 2 sqrt(det C1 det C2)).
    const [c, s] = [Math.cos(0.7), Math.sin(0.7)];
    const [p, q] = [5, 0.5];
    const rotated = [c * c * p + s * s * q, c * s * (p - q), c * s * (p - q), s * s * p + c * c * q];
    const other = [2, 0.3, 0.3, 1];
    const product = (rotated[0] as number) * 2 + 2 * (rotated[1] as number) * 0.3 + (rotated[3] as number);
    const root = Math.sqrt(product + 2 * Math.sqrt(p * q * (2 - 0.09)));
    const found = frechetOfMoments(gaussian([0, 0], rotated), gaussian([3, 4], other));
    expect(found.distance).toBeCloseTo(25 + p + q + 3 - 2 * root, 11);
  });

  it("takes singular covariances", () => {
    const found = frechetOfMoments(gaussian([0, 0], [4, 4, 4, 4]), gaussian([0, 0], [0, 0, 0, 0]));
    expect(found.distance).toBeCloseTo(8, 12);
    expect(frechetOfMoments(gaussian([0], [0]), gaussian([0], [0])).distance).toBe(0);
  });
});

describe("numpy's numbers", () => {
  it.each([
    [
      "more samples than dims",
      lcgFeatures(1, 40, 6),
      lcgFeatures(2, 50, 6, (x, k) => x * ([1, 2, 0.5, 1, 3, 1][k] as number) + 0.25),
      2.136226527499072,
      0.42565380542211795,
    ],
    [
      "fewer on both sides",
      lcgFeatures(3, 5, 12),
      lcgFeatures(4, 7, 12, (x) => 2 * x - 0.5),
      0.5581615085789459,
      2.8445583867008377,
    ],
    [
      "fewer on one side",
      lcgFeatures(3, 5, 12),
      lcgFeatures(5, 60, 12),
      0.2497951641574855,
      0.8679358155894161,
    ],
  ] as const)("with %s", (_, a, b, meanTerm, covarianceTerm) => {
    const found = frechetDistance(a, b);
    expect(found.meanTerm).toBeCloseTo(meanTerm, 12);
    expect(found.covarianceTerm).toBeCloseTo(covarianceTerm, 6);
    expect(frechetDistance(b, a).distance).toBeCloseTo(found.distance, 6);
    expect(frechetOfMoments(momentsOf(a), momentsOf(b)).distance).toBeCloseTo(found.distance, 6);
  });
});

describe("properties", () => {
  it("is about zero between a set and itself, in any order, at any rank", () => {
    for (const [count, dims] of [
      [2, 1],
      [3, 20],
      [20, 20],
      [21, 20],
      [200, 20],
    ] as const) {
      const set = normals(count, count, dims, 10);
      const turned = takeRows(
        set,
        Array.from({ length: count }, (_, i) => count - 1 - i),
      );
      expect(frechetDistance(set, turned).distance).toBeLessThan(1e-4); // of a trace of 100 dims
    }
  });

  it("does not change under orthogonal maps, shifts or batching; scales by the square", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.constantFrom(6, 30), (seed, count) => {
        const [a, b] = [normals(seed, count, 8), normals(seed + 1, 25, 8, 2)];
        const plain = frechetDistance(a, b).distance;
        const mapped = frechetDistance(reflect(a, seed), reflect(b, seed)).distance;
        expect(mapped).toBeCloseTo(plain, 5);
        const scaled = (set: FeatureSet): FeatureSet => ({
          ...set,
          data: set.data.map((x) => 3 * x + 7) as Float64Array,
        });
        expect(frechetDistance(scaled(a), scaled(b)).distance).toBeCloseTo(9 * plain, 4);
      }),
      { numRuns: 20 },
    );
  });

  it("has moments that do not depend on batches, also far from zero", () => {
    const far = normals(5, 31, 4);
    const data = far.data.map((x) => x + 1e6) as Float64Array;
    const parts = new MomentAccumulator(4);
    for (const [from, to] of [
      [0, 1],
      [1, 1],
      [1, 20],
      [20, 31],
    ] as const)
      parts.add({ data: data.slice(4 * from, 4 * to), count: to - from, dims: 4 });
    const [whole, near] = [parts.moments(), momentsOf(far)];
    expect(whole.count).toBe(31);
    for (const [i, value] of near.covariance.entries()) expect(whole.covariance[i]).toBeCloseTo(value, 8);
  });
});

describe("error and bias", () => {
  it("finds the bias of equal distributions, where the distance itself is all bias", () => {
    const estimate = frechetEstimate(normals(1, 2000, 4), normals(2, 2000, 4));
    expect(estimate.distance).toBeGreaterThan(0);
    expect(Math.abs(estimate.extrapolated)).toBeLessThan(estimate.distance + 3 * estimate.standardError);
    expect(estimate).toMatchObject({
      realCount: 2000,
      generatedCount: 2000,
      method: "jackknife over 4 groups",
    });
  });

  it("has a standard error like the spread over repetitions, and a bias that moves towards the truth", () => {
    // N(0, 1)^3 against N(0, 4)^3: distance 3 exactly.
    const runs = Array.from({ length: 40 }, (_, i) =>
      frechetEstimate(normals(2 * i, 200, 3), normals(2 * i + 1, 200, 3, 2), { groups: 10 }),
    );
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const distances = runs.map((run) => run.distance);
    const spread = Math.sqrt(mean(distances.map((d) => (d - mean(distances)) ** 2)));
    const error = mean(runs.map((run) => run.standardError));
    expect(error / spread).toBeGreaterThan(0.7);
    expect(error / spread).toBeLessThan(1.4);
    expect(Math.abs(mean(runs.map((run) => run.extrapolated)) - 3)).toBeLessThan(
      3 * (spread / Math.sqrt(40)),
    );
  });

  it("leaves pairs out together, so that what both sides share is no error", () => {
    // x ~ N(0, 1)^3 against 1.5 x: distance 3 / 4, of which a sample misses only what its own x miss.
    const runs = Array.from({ length: 40 }, (_, i) => {
      const x = normals(i, 200, 3);
      const y = { ...x, data: x.data.map((value) => 1.5 * value) as Float64Array };
      return {
        paired: frechetEstimate(x, y, { groups: 10, paired: true }),
        apart: frechetEstimate(x, y, { groups: 10 }),
      };
    });
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const distances = runs.map(({ paired }) => paired.distance);
    const spread = Math.sqrt(mean(distances.map((d) => (d - mean(distances)) ** 2)));
    const error = mean(runs.map(({ paired }) => paired.standardError));
    expect(error / spread).toBeGreaterThan(0.7);
    expect(error / spread).toBeLessThan(1.4);
    expect(mean(runs.map(({ apart }) => apart.standardError))).toBeGreaterThan(1.4 * error);
    const off = mean(runs.map(({ paired }) => paired.extrapolated)) - 0.75;
    expect(Math.abs(off)).toBeLessThan(3 * (spread / Math.sqrt(40)));
    expect(() => frechetEstimate(normals(1, 30, 2), normals(2, 31, 2), { paired: true })).toThrow(
      withCode("METRIC_NOT_PAIRED"),
    );
  });
});

describe("refusals", () => {
  const good = normals(1, 20, 3);
  it.each([
    [
      "METRIC_NOT_FINITE",
      { ...good, data: good.data.map((x, i) => (i === 7 ? Number.NaN : x)) as Float64Array },
    ],
    [
      "METRIC_NOT_FINITE",
      { ...good, data: good.data.map((x, i) => (i === 7 ? Number.POSITIVE_INFINITY : x)) as Float64Array },
    ],
    ["METRIC_TOO_FEW_SAMPLES", takeRows(good, [0])],
    ["METRIC_TOO_FEW_SAMPLES", takeRows(good, [])],
    ["METRIC_DIMS_DIFFER", normals(1, 20, 4)],
    ["METRIC_BAD_SHAPE", { ...good, count: 19 }],
  ])("%s", (code, bad) => {
    expect(() => frechetDistance(good, bad)).toThrow(withCode(code));
    expect(() => frechetEstimate(good, bad)).toThrow(withCode(code));
  });

  it("of estimates with too few samples or groups", () => {
    expect(() => frechetEstimate(normals(1, 11, 3), good)).toThrow(withCode("METRIC_TOO_FEW_SAMPLES"));
    expect(() => frechetEstimate(good, good, { groups: 1 })).toThrow(withCode("METRIC_BAD_GROUPS"));
    expect(() => frechetOfMoments(gaussian([Number.NaN], [1]), gaussian([0], [1]))).toThrow(
      withCode("METRIC_NOT_FINITE"),
    );
    expect(() => new MomentAccumulator(3).moments()).toThrow(withCode("METRIC_TOO_FEW_SAMPLES"));
  });
});

/** A Householder reflection of every row. */
function reflect(set: FeatureSet, seed: number): FeatureSet {
  const { dims, count } = set;
  const v = RandomStream.from(seed, "reflection").normals(dims);
  const norm = v.reduce((total, x) => total + x * x, 0);
  const data = Float64Array.from(set.data);
  for (let i = 0; i < count; i++) {
    const row = data.subarray(i * dims, (i + 1) * dims);
    const along = row.reduce((total, x, k) => total + x * (v[k] as number), 0);
    for (let k = 0; k < dims; k++) row[k] = (row[k] as number) - (2 * along * (v[k] as number)) / norm;
  }
  return { data, count, dims };
}

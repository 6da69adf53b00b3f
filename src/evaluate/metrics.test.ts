/** Hand-computed values, and references by numpy and scipy in float64 on the numbers of testing/lcg.ts. */
import { describe, expect, it } from "vitest";
import type { FeatureSet } from "./featureSet.ts";
import {
  classifierScore,
  meanFeatureDistance,
  probabilitiesOf,
  ruleValidity,
  sampleAccuracy,
} from "./metrics.ts";
import { precisionRecall } from "./neighbours.ts";
import { psnr, roundTripQuality, ssim } from "./pictureQuality.ts";
import { lcg, lcgFeatures } from "./testing/lcg.ts";

const withCode = (code: string) => expect.objectContaining({ code });
const rows = (...values: number[][]): FeatureSet => ({
  data: Float64Array.from(values.flat()),
  count: values.length,
  dims: values[0]?.length ?? 1,
});

describe("inception-style score", () => {
  it("is the number of classes for sure and even answers, 1 for equal ones", () => {
    expect(classifierScore(rows([1, 0, 0], [0, 1, 0], [0, 0, 1]), { splits: 1 }).mean).toBeCloseTo(3, 12);
    expect(classifierScore(rows([0.2, 0.8], [0.2, 0.8], [0.2, 0.8]), { splits: 3 })).toMatchObject({
      mean: 1,
      deviation: 0,
    });
  });

  it("agrees with numpy: m = p.mean(0); exp((p * log(p / m)).sum(1).mean())", () => {
    const probabilities = probabilitiesOf(lcgFeatures(7, 20, 5, (x) => 6 * x));
    expect(classifierScore(probabilities, { splits: 1 }).mean).toBeCloseTo(1.929617744906069, 12);
    const split = classifierScore(probabilities, { splits: 4 });
    expect(split.mean).toBeLessThan(1.93);
    expect(split.deviation).toBeGreaterThan(0);
  });

  it("refuses what is no distribution", () => {
    expect(() => classifierScore(rows([2, -1]), { splits: 1 })).toThrow(withCode("METRIC_BAD_PROBABILITIES"));
    expect(() => classifierScore(rows([0.5, 0.5]))).toThrow(withCode("METRIC_TOO_FEW_SAMPLES"));
    expect(() => classifierScore(rows([Number.NaN, 1]), { splits: 1 })).toThrow(
      withCode("METRIC_NOT_FINITE"),
    );
    expect(() => classifierScore(rows([1]), { splits: 0 })).toThrow(withCode("METRIC_BAD_SPLITS"));
  });

  it("softens logits without overflow", () => {
    expect([...probabilitiesOf(rows([1000, 1000], [-1000, 1000])).data]).toEqual([0.5, 0.5, 0, 1]);
  });
});

describe("precision and recall", () => {
  it("counts by hand on a line", () => {
    const real = rows([0], [1], [2], [10]);
    // k = 1: radii 1, 1, 1, 8, so the real manifold is [-1, 3] and [2, 18].
    const generated = rows([2.5], [-2], [18.5], [3]);
    // Generated radii: 0.5, 4.5, 15.5, 0.5: [2, 3], [-6.5, 2.5], [3, 34], [2.5, 3.5] hold 0, 1, 2 and 10.
    expect(precisionRecall(real, generated, { k: 1 })).toEqual({ precision: 0.5, recall: 1, k: 1 });
    expect(precisionRecall(generated, real, { k: 1 })).toEqual({ precision: 1, recall: 0.5, k: 1 });
  });

  it("agrees with numpy's sorted distances", () => {
    const found = precisionRecall(
      lcgFeatures(8, 30, 4),
      lcgFeatures(9, 25, 4, (x) => 1.3 * x + 0.2),
    );
    expect(found.precision).toBeCloseTo(0.64, 12);
    expect(found.recall).toBeCloseTo(17 / 30, 12);
  });

  it("is 1 for a set and itself, across blocks, and 0 for sets far apart", () => {
    const set = lcgFeatures(1, 150, 3);
    expect(precisionRecall(set, set)).toMatchObject({ precision: 1, recall: 1 });
    expect(
      precisionRecall(
        set,
        lcgFeatures(2, 70, 3, (x) => x + 100),
      ),
    ).toMatchObject({ precision: 0, recall: 0 });
  });

  it("refuses k neighbours of k samples", () => {
    expect(() => precisionRecall(rows([0], [1], [2]), rows([0], [1], [2]))).toThrow(
      withCode("METRIC_TOO_FEW_SAMPLES"),
    );
    expect(() => precisionRecall(rows([0]), rows([0]), { k: 0.5 })).toThrow(
      withCode("METRIC_BAD_NEIGHBOURS"),
    );
  });
});

describe("rates", () => {
  it("counts samples of the right class", () => {
    const logits = rows([1, 2], [3, 1], [0, 0], [5, 9]);
    expect(sampleAccuracy(logits, [1, 0, 0, 0])).toEqual({
      rate: 0.75,
      standardError: Math.sqrt(0.1875 / 4),
      count: 4,
    });
    expect(() => sampleAccuracy(logits, [0, 1])).toThrow(withCode("METRIC_BAD_SHAPE"));
    expect(() => sampleAccuracy(logits, [0, 1, 2, 0])).toThrow(withCode("METRIC_BAD_LABEL"));
  });

  it("asks the set for its rules", () => {
    const set = { size: 1, follows: (pixels: Uint8Array, label: number) => pixels[0] === label };
    expect(ruleValidity(set, Uint8Array.of(1, 0, 0, 2, 0, 0), [1, 1])).toMatchObject({ rate: 0.5, count: 2 });
    expect(ruleValidity({ size: 1 }, new Uint8Array(3), [0])).toBeUndefined();
    expect(() => ruleValidity(set, new Uint8Array(4), [0])).toThrow(withCode("METRIC_BAD_SHAPE"));
  });

  it("averages distances of pairs", () => {
    expect(meanFeatureDistance(rows([0, 0], [1, 1]), rows([3, 4], [1, 2]))).toBe(3);
    const a = lcgFeatures(8, 30, 4);
    const pairs = { ...a, count: 25, data: a.data.slice(0, 100) };
    expect(
      meanFeatureDistance(
        pairs,
        lcgFeatures(9, 25, 4, (x) => 1.3 * x + 0.2),
      ),
    ).toBeCloseTo(1.0197400505167398, 12);
    expect(() => meanFeatureDistance(a, rows([0, 0, 0, 0]))).toThrow(withCode("METRIC_BAD_SHAPE"));
  });
});

describe("pixels", () => {
  const [width, height] = [17, 13];
  const x = Uint8Array.from(lcg(10, width * height * 3), (v) => Math.floor(v * 256));
  const noise = lcg(11, width * height * 3);
  const y = Uint8Array.from(x, (v, i) => Math.min(255, Math.floor(v * 0.8 + (noise[i] as number) * 40)));

  it("PSNR: by hand, equal pictures, numpy", () => {
    expect(psnr(Uint8Array.of(0, 0), Uint8Array.of(255, 255))).toBe(0);
    expect(psnr(Uint8Array.of(10, 20), Uint8Array.of(11, 20))).toBeCloseTo(10 * Math.log10(2 * 255 ** 2), 12);
    expect(psnr(x, x)).toBe(Number.POSITIVE_INFINITY);
    expect(psnr(x, y)).toBeCloseTo(22.57468024460551, 12);
    expect(() => psnr(x, x.slice(1))).toThrow(withCode("METRIC_BAD_SHAPE"));
    expect(() => psnr(new Uint8Array(0), new Uint8Array(0))).toThrow(withCode("METRIC_BAD_SHAPE"));
  });

  it("of several round trips: one PSNR over all, the mean of their SSIMs", () => {
    const size = 13;
    const length = size * size * 3;
    const [before, after] = [x.slice(0, length), y.slice(0, length)];
    const { psnr: decibels, ssim: similar } = roundTripQuality(before, after, size);
    expect(decibels).toBe(psnr(before, after));
    expect(similar).toBe(ssim(before, after, size, size));
    const [mixed, twice] = [Uint8Array.of(...before, ...after), Uint8Array.of(...before, ...before)];
    const both = roundTripQuality(twice, mixed, size);
    expect(both.psnr).toBeCloseTo((decibels ?? 0) + 10 * Math.log10(2), 9); // half the squared error
    expect(both.ssim).toBeCloseTo((1 + similar) / 2, 9);
    expect(roundTripQuality(twice, twice, size).psnr).toBeNull();
    expect(() => roundTripQuality(x.slice(0, 5), x.slice(0, 5), size)).toThrow(withCode("METRIC_BAD_SHAPE"));
  });

  it("SSIM: equal pictures, flat pictures by hand, scipy.signal.correlate2d(mode='valid')", () => {
    expect(ssim(x, x, width, height)).toBeCloseTo(1, 12);
    const flat = (value: number) => new Uint8Array(11 * 11 * 3).fill(value);
    expect(ssim(flat(0), flat(255), 11, 11)).toBeCloseTo(6.5025 / (255 ** 2 + 6.5025), 12);
    expect(ssim(x, y, width, height)).toBeCloseTo(0.9636716110371495, 12);
    expect(() => ssim(flat(0).slice(0, 300), flat(0).slice(0, 300), 10, 10)).toThrow(
      withCode("METRIC_BAD_SHAPE"),
    );
  });
});

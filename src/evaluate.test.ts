/** Measuring the shipped model with the frozen classifier, and real pictures against real ones. */
import { describe, expect, it } from "vitest";
import { frozenClassifiers } from "./evaluate/classifier/frozen.ts";
import { evaluate, noiseFloor } from "./evaluate.node.ts";
import { load } from "./load.node.ts";

const withCode = (code: string) => expect.objectContaining({ code });
const frozen = frozenClassifiers.synth?.sha256;

describe("evaluate", () => {
  it("measures samples and round trips of synth-32 under the frozen classifier", {
    timeout: 120_000,
  }, async () => {
    using model = await load("synth-32");
    const report = await evaluate(model, { count: 48, seed: 3 });
    expect(report).toMatchObject({
      model: { name: "synth-32", sha256: model.sha256 },
      data: { set: "synth", split: "test", size: 32 },
      ...{ seed: 3, count: 48 },
    });
    expect(report.features.map(({ sha256 }) => sha256)).toEqual([frozen]);
    const [features] = report.features;
    expect(features?.accuracy?.real.rate).toBeGreaterThan(0.95);
    expect(features?.accuracy?.generated.rate).toBeGreaterThan(0.8);
    expect(features?.score?.real.mean).toBeGreaterThan(1);
    expect(report.validity?.count).toBe(48);
    expect(report.reconstruction?.psnr).toBeGreaterThan(27);
    expect(report.reconstruction?.ssim).toBeGreaterThan(0.9);
    expect(report.reconstruction?.validity?.rate).toBeGreaterThan(0.9);
    const { frechet, reconstruction } = features ?? {};
    expect(reconstruction?.frechet.distance).toBeLessThan(frechet?.distance ?? 0);
    expect(JSON.stringify(report)).not.toContain("null");
  });

  it("refuses counts and data that do not fit", async () => {
    using model = await load("synth-32");
    await expect(evaluate(model, { count: 11 })).rejects.toThrow(withCode("EVALUATE_BAD_COUNT"));
    await expect(evaluate(model, { set: "nothing" })).rejects.toThrow(withCode("DATA_UNKNOWN_SET"));
    await expect(evaluate(model, { set: "tiles" })).rejects.toThrow(withCode("DATA_NO_ROOT"));
  });
});

describe("the noise floor", () => {
  it("compares disjoint halves of a split: all rules hold, the distance is its own bias", {
    timeout: 60_000,
  }, async () => {
    const report = await noiseFloor("synth", { count: 200 });
    expect(report).toMatchObject({ count: 200, data: { set: "synth", split: "test", size: 32 } });
    expect(report.validity?.rate).toBe(1);
    expect(report).not.toHaveProperty("reconstruction");
    const { distance, standardError, extrapolated } = report.features[0]?.frechet ?? {};
    expect(distance).toBeGreaterThan(0);
    expect(Math.abs(extrapolated ?? Number.NaN)).toBeLessThan((distance ?? 0) / 2 + 3 * (standardError ?? 0));
    expect(report.features[0]?.precisionRecall.precision).toBeGreaterThan(0.5);
  });
});

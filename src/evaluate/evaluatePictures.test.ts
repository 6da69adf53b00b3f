/** The report over pictures with an extractor whose features are known: mean colours. */
import { describe, expect, it } from "vitest";
import { createSynth } from "../data/synth/synth.ts";
import { type Compared, drawPictures, evaluatePictures } from "./evaluatePictures.ts";
import type { FeatureSet } from "./featureSet.ts";
import type { FeatureExtractor, Pictures } from "./features/types.ts";
import { frechetEstimate } from "./frechet.ts";
import { meanFeatureDistance } from "./metrics.ts";

const set = createSynth({ size: 32, split: "test", length: 64 });

function meanColours({ pixels, count, size }: Pictures): FeatureSet {
  const data = new Float64Array(count * 3);
  const plane = size * size;
  for (let i = 0; i < pixels.length; i++) {
    const at = Math.floor(i / (3 * plane)) * 3 + (i % 3);
    data[at] = (data[at] ?? 0) + (pixels[i] ?? 0) / plane;
  }
  return { data, count, dims: 3 };
}

const colours: FeatureExtractor = {
  ...{ name: "mean colours", sha256: "none", dims: 3, inputSize: 32 },
  extract: async (pictures) => ({ features: meanColours(pictures) }),
  features: async (pictures) => meanColours(pictures),
  [Symbol.dispose]: () => undefined,
};

const all = drawPictures(set, 1000);
const half = (first: number) => ({
  pixels: all.pixels.slice(first * 3072, (first + 32) * 3072),
  labels: all.labels.slice(first, first + 32),
  count: 32,
  size: 32,
});
const [real, generated] = [half(0), half(32)];
const lighter = { ...real, pixels: real.pixels.map((value) => Math.min(255, value + 8)) };

describe("a report", () => {
  it("draws a split's pictures once each, the same every time", () => {
    expect(all.count).toBe(64);
    expect(drawPictures(set, 10).pixels).toEqual(all.pixels.slice(0, 10 * 3072));
    const sum = (pixels: Uint8Array) => pixels.reduce((a, b) => a + b, 0);
    expect(sum(all.pixels)).toBe(
      Array.from({ length: 64 }, (_, i) => sum(set.get(i).pixels)).reduce((a, b) => a + b, 0),
    );
  });

  it("holds every metric with its N, and round trips against their originals", async () => {
    const compared: Compared = { real, generated, reconstructed: lighter };
    const { count, features, validity, reconstruction } = await evaluatePictures([colours], set, compared);
    expect(count).toBe(32);
    expect(validity).toMatchObject({ rate: 1, count: 32 });
    const [r, g, l] = [meanColours(real), meanColours(generated), meanColours(lighter)];
    expect(features).toHaveLength(1);
    expect(features[0]).toMatchObject({ name: "mean colours", dims: 3, fewSamples: false });
    expect(features[0]?.frechet).toEqual(frechetEstimate(r, g));
    expect(features[0]?.reconstruction).toEqual({
      frechet: frechetEstimate(r, l, { paired: true }),
      featureDistance: meanFeatureDistance(r, l),
    });
    expect(features[0]?.score).toBeUndefined();
    expect(reconstruction?.psnr).toBeGreaterThan(20 * Math.log10(255 / 8)); // clamping makes it smaller
    expect(reconstruction?.ssim).toBeLessThan(1);
    expect(reconstruction?.validity?.count).toBe(32);
  });

  it("says nothing of round trips where there are none", async () => {
    const report = await evaluatePictures([colours], set, { real, generated });
    expect(report).not.toHaveProperty("reconstruction");
    expect(report.features[0]).not.toHaveProperty("reconstruction");
  });
});

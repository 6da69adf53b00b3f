import { describe, expect, test } from "vitest";
import { checkedFactors, checkSynth } from "./check.ts";
import { labelOf } from "./factors.ts";
import { render } from "./render.ts";
import { createSynth } from "./synth.ts";
import { blurred, jpegLike, noisy, withBlock } from "./testing/distort.ts";

const small = createSynth({ size: 32, split: "test" });
const large = createSynth({ size: 64, split: "test" });

/** Share of `count` pictures that pass after a change. */
function validity(
  set: typeof small,
  count: number,
  change: (pixels: Uint8Array, i: number) => Uint8Array,
): number {
  let passed = 0;
  for (let i = 0; i < count; i++) {
    const { pixels, label } = set.get(i);
    if (checkSynth(change(pixels, i), set.size, label).pass) passed++;
  }
  return passed / count;
}

describe("valid pictures", () => {
  test.each([small, large])("fresh ones pass at $size px, and the factors are read back", (set) => {
    for (let i = 0; i < 300; i++) {
      const { pixels, label } = set.get(i);
      const verdict = checkSynth(pixels, set.size, label);
      const failed = checkedFactors.filter((name) => !verdict.factors[name]);
      expect({ i, failed, read: verdict.read }).toEqual({ i, failed: [], read: set.factors(i) });
      expect(verdict.pass).toBe(true);
    }
  });

  test.each([small, large])("JPEG-like loss with noise leaves 97 % valid at $size px", (set) => {
    expect(validity(set, 100, (p, i) => noisy(jpegLike(p, set.size, 60), 4, i))).toBeGreaterThanOrEqual(0.97);
  });

  test("blur as of a small tokenizer leaves most of them valid", () => {
    expect(validity(small, 100, (p) => blurred(p, 32, 0.7))).toBeGreaterThanOrEqual(0.97);
    expect(validity(small, 60, (p) => blurred(p, 32, 1))).toBeGreaterThanOrEqual(0.85);
  });
});

describe("invalid pictures", () => {
  test("one block of another picture breaks nearly all", () => {
    for (const side of [8, 16]) {
      const swap = (pixels: Uint8Array, i: number) =>
        withBlock(pixels, small.get(i + 1000).pixels, 32, {
          left: side === 8 ? 8 + 8 * (i % 2) : 16 * (i % 2),
          top: side === 8 ? 8 + 8 * ((i >> 1) % 2) : 16 * ((i >> 1) % 2),
          side,
        });
      expect(validity(small, 100, swap)).toBeLessThan(0.06);
    }
  });

  test("a fine factor that does not follow the coarse ones is named", () => {
    const cases = [
      ["texture", "texture"],
      ["glyph", "glyph"],
      ["shadow", "light"],
    ] as const;
    for (const [name, judged] of cases) {
      for (let i = 0; i < 30; i++) {
        const factors = small.factors(i);
        const pixels = render({ ...factors, [name]: (factors[name] + 1 + (i % 3)) % 4 }, 32);
        const verdict = checkSynth(pixels, 32, labelOf(factors));
        expect(verdict.factors[judged], `${name} of picture ${i}`).toBe(false);
        expect(verdict.pass).toBe(false);
      }
    }
  });

  test("the wrong class fails by shape or colour", () => {
    for (let label = 0; label < 16; label++) {
      const { pixels, label: own } = small.get(7);
      expect(checkSynth(pixels, 32, label).pass).toBe(label === own);
    }
  });

  test("the mean picture of a class and plain colours fail", () => {
    const sums = Array.from({ length: 16 }, () => new Float64Array(32 * 32 * 3));
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 1000; i++) {
      const { pixels, label } = small.get(i);
      counts[label] = (counts[label] ?? 0) + 1;
      const sum = sums[label] ?? new Float64Array();
      for (let j = 0; j < sum.length; j++) sum[j] = (sum[j] ?? 0) + (pixels[j] ?? 0);
    }
    for (let label = 0; label < 16; label++) {
      const mean = Uint8Array.from(sums[label] ?? [], (value) => value / (counts[label] ?? 1));
      expect(checkSynth(mean, 32, label).pass).toBe(false);
      expect(checkSynth(new Uint8Array(32 * 32 * 3).fill(label * 17), 32, label).pass).toBe(false);
    }
  });

  test("what is no picture is refused", () => {
    expect(() => checkSynth(new Uint8Array(10), 32, 0)).toThrow("32 x 32 x 3");
    expect(() => checkSynth(new Uint8Array(28 * 28 * 3), 28, 0)).toThrow("side 28");
    expect(() => checkSynth(new Uint8Array(32 * 32 * 3), 32, 16)).toThrow("0 to 15");
  });
});

import { describe, expect, test } from "vitest";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import { drawFactors, glyphOf, labelOf, numPictures, synthClassNames, textureOf } from "./factors.ts";
import { render } from "./render.ts";
import { createSynth, hashSynth, synthVersion } from "./synth.ts";

describe("the generator", () => {
  test("draws what its version says", () => {
    expect(hashSynth()).toBe(synthVersion);
  });

  test("can draw a million pictures and more", () => {
    expect(numPictures).toBeGreaterThanOrEqual(1e6);
    const seen = new Set<string>();
    for (let i = 0; i < 2000; i++) seen.add(JSON.stringify(drawFactors(RandomStream.from(i, "test"))));
    expect(seen.size).toBeGreaterThan(1998);
  });

  test("fine factors follow coarse ones", () => {
    for (let i = 0; i < 200; i++) {
      const factors = drawFactors(RandomStream.from(i, "test"));
      expect(factors.texture).toBe(textureOf(factors.shape, factors.mainColour));
      expect(factors.glyph).toBe(glyphOf(factors.layout, factors.count));
      expect(factors.shadow).toBe(factors.light);
    }
  });

  test("every factor changes the picture", () => {
    const base = drawFactors(RandomStream.from(1, "test"), 0);
    const picture = render(base, 32);
    for (const name of Object.keys(base) as (keyof typeof base)[]) {
      const changed = { ...base, [name]: base[name] > 1 ? base[name] - 1 : base[name] + 1 };
      expect(render(changed, 32), name).not.toEqual(picture);
    }
  });

  test("a given label is kept and does not disturb the other draws", () => {
    for (let label = 0; label < synthClassNames.length; label++) {
      const factors = drawFactors(RandomStream.from(5, "test"), label);
      expect(labelOf(factors)).toBe(label);
      expect(factors.layout).toBe(drawFactors(RandomStream.from(5, "test")).layout);
    }
    expect(() => drawFactors(RandomStream.from(5, "test"), 16)).toThrow(NextxError);
  });
});

describe("the set", () => {
  test("is random access and balanced", () => {
    const set = createSynth({ size: 32, split: "train" });
    expect(set.length).toBe(50_000);
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 800; i++) counts[set.get(i).label] = (counts[set.get(i).label] ?? 0) + 1;
    expect(Math.min(...counts)).toBeGreaterThan(25);
    expect(set.get(7)).toEqual(createSynth({ size: 32, split: "train", length: 8 }).get(7));
    expect(set.get(7).pixels.length).toBe(32 * 32 * 3);
  });

  test("splits differ, sizes agree", () => {
    const [train, test32, test64] = [
      createSynth({ size: 32, split: "train" }),
      createSynth({ size: 32, split: "test" }),
      createSynth({ size: 64, split: "test" }),
    ];
    expect(train.get(0)).not.toEqual(test32.get(0));
    expect(test32.factors(3)).toEqual(test64.factors(3));
    expect(test64.get(3).pixels.length).toBe(64 * 64 * 3);
  });

  test("refuses what it does not have", () => {
    const set = createSynth({ size: 32, split: "validation", length: 3 });
    for (const index of [-1, 3, 0.5, Number.NaN]) expect(() => set.get(index)).toThrow("0 to 2");
    expect(() => createSynth({ size: 32, split: "test", length: 0 })).toThrow(NextxError);
    expect(() => render(set.factors(0), 48)).toThrow("32 or 64");
  });
});

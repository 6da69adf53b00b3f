import { describe, expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { RandomStream } from "../tensor/random.ts";
import { augmentImage } from "./augment.ts";
import { type Batch, createLoader, inOrder, type Loader, type LoaderOptions } from "./loader.ts";
import { imagesToFloat } from "./pixels.ts";
import { createSynth } from "./synth/synth.ts";
import type { ImageSet } from "./types.ts";

/** 2 x 2 pictures whose first byte is their index. */
function tinySet(length: number): ImageSet {
  return {
    id: "tiny",
    split: "train",
    size: 2,
    length,
    classNames: ["even", "odd"],
    version: "1",
    get: (i) => ({ pixels: Uint8Array.from({ length: 12 }, (_, j) => (j === 0 ? i : 10 * j)), label: i % 2 }),
  };
}

function take(loader: Loader, count: number): Batch[] {
  return Array.from({ length: count }, () => loader.next());
}

const saved = (loader: Loader): unknown => JSON.parse(JSON.stringify(loader.state));
const plain: LoaderOptions = { batchSize: 3, seed: 5 };
const rich: LoaderOptions = {
  ...plain,
  dropLast: false,
  augment: { horizontalFlip: true, crop: { ratio: 1.5 } },
};

describe("order", () => {
  test.each([3, 4, 10])("each picture once per epoch, batches of %i", (batchSize) => {
    const loader = createLoader(tinySet(10), { batchSize, seed: 1, dropLast: false });
    for (let epoch = 0; epoch < 3; epoch++) {
      const indices = take(loader, loader.batchesPerEpoch).flatMap((batch) => Array.from(batch.indices));
      expect(indices.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
  });

  test("an incomplete last batch is left out unless wanted", () => {
    expect(take(createLoader(tinySet(10), plain), 7).map((batch) => batch.labels.length)).toEqual([
      3, 3, 3, 3, 3, 3, 3,
    ]);
    const all = createLoader(tinySet(10), { ...plain, dropLast: false });
    expect(take(all, 5).map((batch) => batch.labels.length)).toEqual([3, 3, 3, 1, 3]);
  });

  test("in a set's own order the last pictures come as well", () => {
    const sizes = take(inOrder(tinySet(100)), 4).map((batch) => [...batch.indices]);
    expect(sizes.flat()).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test("epochs and seeds differ, the same seed repeats", () => {
    const order = (options: LoaderOptions, skip: number) => {
      const loader = createLoader(tinySet(50), options);
      take(loader, skip);
      return Array.from(loader.next().indices).join();
    };
    const ten = { batchSize: 10, seed: 1 };
    expect(order(ten, 0)).toBe(order(ten, 0));
    expect(order(ten, 0)).not.toBe(order(ten, 5));
    expect(order(ten, 0)).not.toBe(order({ ...ten, seed: 2 }, 0));
    expect(order({ ...ten, shuffle: false }, 5)).toBe("0,1,2,3,4,5,6,7,8,9");
  });
});

describe("resuming", () => {
  test.each([
    ["plain", plain],
    ["augmented", rich],
  ])("a split run is the whole run (%s)", (_, options) => {
    const whole = take(createLoader(tinySet(10), options), 12);
    for (let cut = 0; cut <= 12; cut++) {
      const first = createLoader(tinySet(10), options);
      const before = take(first, cut);
      const second = createLoader(tinySet(10), options);
      second.restore(saved(first));
      expect([...before, ...take(second, 12 - cut)]).toEqual(whole);
    }
  });

  test("another batch size may continue where the first stopped", () => {
    const first = createLoader(tinySet(12), { batchSize: 4, seed: 3 });
    const second = createLoader(tinySet(12), { batchSize: 2, seed: 3 });
    first.next();
    second.restore(saved(first));
    expect(Array.from(first.next().indices)).toEqual(
      take(second, 2).flatMap((batch) => Array.from(batch.indices)),
    );
  });

  test("a state of other data or another seed is refused", () => {
    const loader = createLoader(tinySet(10), plain);
    expect(() => loader.restore(createLoader(tinySet(11), plain).state)).toThrow("11 pictures");
    expect(() => loader.restore(createLoader(tinySet(10), { ...plain, seed: 6 }).state)).toThrow("seed 6");
    expect(() => loader.restore({ ...loader.state, position: 11 })).toThrow("position");
    for (const junk of [null, 7, {}, { ...loader.state, set: undefined }, { ...loader.state, epoch: -1 }]) {
      expect(() => loader.restore(junk)).toThrow(NextxError);
    }
  });
});

describe("content", () => {
  test("pictures and labels are those of the set", () => {
    const set = createSynth({ size: 32, split: "train", length: 40 });
    const { images, labels, indices } = createLoader(set, { batchSize: 4, seed: 0 }).next();
    for (const [i, index] of indices.entries()) {
      expect(images.slice(i * 3072, (i + 1) * 3072)).toEqual(imagesToFloat(set.get(index).pixels, 1, 32));
      expect(labels[i]).toBe(set.get(index).label);
    }
  });

  test("a flip is half of the pictures, and exact", () => {
    const pixels = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => i * 5);
    const mirrored = Uint8Array.from(pixels, (_, i) => {
      const [channel, column, row] = [i % 3, Math.floor(i / 3) % 4, Math.floor(i / 12)];
      return pixels[(row * 4 + 3 - column) * 3 + channel] ?? 0;
    });
    let flipped = 0;
    for (let i = 0; i < 200; i++) {
      const out = augmentImage(pixels, 4, { horizontalFlip: true }, RandomStream.from(i, "test"));
      if (out.join() === mirrored.join()) flipped++;
      else expect(out).toEqual(pixels);
    }
    expect(flipped).toBeGreaterThan(70);
    expect(flipped).toBeLessThan(130);
  });

  test("a crop keeps plain colours and moves pictures", () => {
    const plainColour = new Uint8Array(8 * 8 * 3).fill(77);
    const crop = { crop: { ratio: 1.125 } };
    expect(augmentImage(plainColour, 8, crop, RandomStream.from(1, "test"))).toEqual(plainColour);
    const set = createSynth({ size: 32, split: "train" });
    const windows = new Set<string>();
    for (let i = 0; i < 200; i++) {
      windows.add(augmentImage(set.get(0).pixels, 32, crop, RandomStream.from(i, "test")).join());
    }
    expect(windows.size).toBe(25);
  });

  test("what cannot be is refused", () => {
    expect(() => createLoader(tinySet(10), { batchSize: 11, seed: 1 })).toThrow("1 to 10");
    expect(() => createLoader(tinySet(10), { batchSize: 0, seed: 1 })).toThrow("got 0");
    expect(() => createLoader(tinySet(10), { ...plain, augment: { crop: { ratio: 0.5 } } })).toThrow("ratio");
  });
});

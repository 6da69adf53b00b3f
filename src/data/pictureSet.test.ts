import { expect, test } from "vitest";
import { createPictureSet, membersOfSplit, splitOfName } from "./pictureSet.ts";

test("numbered names spread over the splits, and stay where they are", () => {
  for (const prefix of ["tile", "a/b/IMG_", ""]) {
    const names = Array.from({ length: 2000 }, (_, i) => `${prefix}${i}.png`);
    const lengths = (["train", "validation", "test"] as const).map(
      (split) => membersOfSplit(names, split).length,
    );
    expect(lengths.reduce((sum, length) => sum + length)).toBe(2000);
    for (const length of lengths.slice(1)) expect(Math.abs(length - 100)).toBeLessThan(35);
    // every run of 400 has some of each
    for (let start = 0; start < 2000; start += 400) {
      expect(new Set(names.slice(start, start + 400).map(splitOfName)).size).toBe(3);
    }
  }
  expect(["a.png", "mon/undead/lich", "7"].map(splitOfName)).toEqual(["train", "train", "train"]);
});

test("an empty split and an index outside are refused", () => {
  const source = {
    id: "mine",
    split: "test" as const,
    size: 1,
    classNames: ["one"],
    version: "1",
    read: (member: number) => ({ pixels: new Uint8Array([member, 0, 0]), label: 0 }),
  };
  expect(() => createPictureSet({ ...source, members: new Uint32Array() })).toThrow("no pictures");
  const set = createPictureSet({ ...source, members: new Uint32Array([4, 9]) });
  expect(set.get(1).pixels[0]).toBe(9);
  for (const index of [-1, 2, 0.5]) expect(() => set.get(index)).toThrow("0 to 1");
});

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataHomes } from "./homes.ts";
import { openImageSet } from "./imageSets.node.ts";
import { openPartedStrips } from "./partedStrips.node.ts";
import { writePart } from "./testing/strips.ts";
import type { ImageSet, Split } from "./types.ts";

/** Pictures of 4 px that become 2 px, in strips of 50. */
const tiny = {
  id: "tiny",
  home: { ...dataHomes.cifar10, folder: "tiny" },
  classNames: Array.from({ length: 10 }, (_, i) => `class ${i}`),
  stripName: (part: string, k: number) => `${part}-${k}.png`,
  side: 4,
  smallestSize: 2,
  perStrip: 50,
};
const splits: readonly Split[] = ["train", "validation", "test"];
let root = "";

/** Picture i is of colour (i, 9, 200), except that pictures 100 to 119 repeat picture 7 and 120 is like test picture 3. */
const colour = (i: number) => [i >= 100 && i < 120 ? 7 : i, 9, 200];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-strips-"));
  await writePart(root, "tiny", "train", { ...tiny, count: 180 }, (picture, pixel) =>
    // the first four pixels differ, their mean over blocks of four does not
    picture === 120 ? [pixel === 0 ? 252 : pixel === 1 ? 254 : 253, 9, 200] : colour(picture),
  );
  await writePart(root, "tiny", "test", { ...tiny, count: 60 }, (picture) =>
    picture === 3 ? [253, 9, 200] : [picture, 200, 9],
  );
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

const open = (size: number) => Promise.all(splits.map((split) => openPartedStrips(tiny, size, split, root)));
const reds = (set: ImageSet | undefined) =>
  Array.from({ length: set?.length ?? 0 }, (_, i) => set?.get(i).pixels[0]);

describe.each([2, 4])("train and test parts at %i px", (size) => {
  test("the test part is whole; the rest is divided by content", async () => {
    const [train, validation, held] = await open(size);
    expect(held?.length).toBe(60);
    expect(held?.get(53).label).toBe(3);
    expect((train?.length ?? 0) + (validation?.length ?? 0)).toBe(179); // one is in the test part
    expect(validation?.length).toBeGreaterThan(4);
    expect(train?.get(0).pixels.length).toBe(size * size * 3);
    const [a, b] = [new Set(reds(train)), new Set(reds(validation))];
    expect([...a].filter((red) => b.has(red))).toEqual([]);
    expect(a.size + b.size).toBe(159); // 180 without 20 repetitions and the one of the test part
  });

  test("labels stay with their pictures, and opening again gives the same", async () => {
    const [[train], [again]] = await Promise.all([open(size), open(size)]);
    for (let i = 0; i < 75; i++) expect(train?.get(i).label).toBe((train?.get(i).pixels[0] ?? 0) % 10);
    expect(reds(again)).toEqual(reds(train));
    expect(again?.version).toBe(train?.version);
  });
});

test("a picture is in the same split at every size", async () => {
  const [small, large] = await Promise.all([open(2), open(4)]);
  expect(small.map(reds)).toEqual(large.map(reds));
});

describe("damaged files", () => {
  test.each([
    ["a label too high", "train-labels.u8", new Uint8Array(180).fill(10), "DATA_BAD_FILE"],
    ["no labels", "train-labels.u8", new Uint8Array(0), "DATA_BAD_FILE"],
    ["fewer labels than pictures", "train-labels.u8", new Uint8Array(170), "DATA_BAD_FILE"],
    ["more labels than pictures", "train-labels.u8", new Uint8Array(190), "DATA_BAD_FILE"],
    ["a strip that is no PNG", "train-1.png", new Uint8Array(40), "PNG_NOT_PNG"],
  ])("%s", async (_, name, bytes, code) => {
    const other = await mkdtemp(join(tmpdir(), "nextx-strips-"));
    for (const part of ["train", "test"] as const)
      await writePart(other, "tiny", part, { ...tiny, count: 180 }, (picture) => [picture, 1, 2]);
    await writeFile(join(other, "tiny", name), bytes);
    const opened = openPartedStrips(tiny, 2, "train", other);
    await expect(opened).rejects.toMatchObject({ code, path: expect.stringMatching(/^tiny\/train-/) });
    await rm(other, { recursive: true });
  });

  test("a missing strip is named", async () => {
    const other = await mkdtemp(join(tmpdir(), "nextx-strips-"));
    await writePart(other, "tiny", "test", { ...tiny, count: 60 }, () => [1, 2, 3]);
    await rm(join(other, "tiny", "test-1.png"));
    await expect(openPartedStrips(tiny, 2, "test", other)).rejects.toMatchObject({ code: "DATA_NOT_FOUND" });
    await rm(other, { recursive: true });
  });
});

describe("through the registry", () => {
  test("cifar10 reads strips named by two digits, eurosat halves", async () => {
    const other = await mkdtemp(join(tmpdir(), "nextx-strips-"));
    const cifar = {
      side: 32,
      perStrip: 1000,
      count: 20,
      stripName: (part: string, k: number) => `${part}-0${k}.png`,
    };
    const eurosat = { side: 64, perStrip: 500, count: 20, stripName: tiny.stripName };
    for (const part of ["train", "test"] as const) {
      const shift = part === "test" ? 100 : 0;
      await writePart(other, "cifar10", part, cifar, (picture) => [picture + shift, 1, 2]);
      await writePart(other, "eurosat-64", part, eurosat, (picture, pixel) => [
        picture + shift,
        pixel % 2,
        2,
      ]);
    }
    const options = { split: "test", dataRoot: other } as const;
    const sets = await Promise.all([
      openImageSet("cifar10", { ...options, size: 32 }),
      openImageSet("eurosat", { ...options, size: 64 }),
      openImageSet("eurosat", { ...options, size: 32 }),
    ]);
    expect(sets.map(({ id, size, length }) => [id, size, length])).toEqual([
      ["cifar10", 32, 20],
      ["eurosat", 64, 20],
      ["eurosat", 32, 20],
    ]);
    expect(sets.map((set) => Array.from(set.get(13).pixels.slice(0, 4)))).toEqual([
      [113, 1, 2, 113],
      [113, 0, 2, 113],
      [113, 1, 2, 113], // mean of 0 and 1, rounded
    ]);
    await rm(other, { recursive: true });
  });
});

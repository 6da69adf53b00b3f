import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { emojiBackground } from "./emoji.node.ts";
import { openImageSet } from "./imageSets.node.ts";
import { writeStrip } from "./testing/strips.ts";
import type { Split } from "./types.ts";

const splits: readonly Split[] = ["train", "validation", "test"];
const head = "index\tgroup\tgroup_name\tcodepoints\tname\n";
const lines = Array.from({ length: 80 }, (_, i) => `${i}\t${i % 9}\tGroup\t1f${i}\tname ${i}`);
let root = "";
let folder = "";

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-emoji-"));
  folder = join(root, "noto-emoji-72");
  await mkdir(folder);
  await writeFile(join(folder, "labels.tsv"), `${head}${lines.join("\n")}\n`);
  // picture i: clear left half, right half of colour (i, 10, 20); 70 to 79 are all like 5
  await writeStrip(join(folder, "emoji-0.png"), 72, 80, (picture, pixel) =>
    pixel % 72 < 36 ? [0, 0, 0, 0] : [picture < 70 ? picture : 5, 10, 20, 255],
  );
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

const open = (size: number, split: Split) => openImageSet("emoji", { size, split, dataRoot: root });

test.each([32, 64])("resized over white at %i px; equal pictures share a split", async (size) => {
  const seen: number[] = [];
  for (const split of splits) {
    const set = await open(size, split).catch(() => undefined); // 80 pictures may leave a split empty
    const reds = new Set<number>();
    for (let i = 0; i < (set?.length ?? 0); i++) {
      const { pixels } = set?.get(i) ?? { pixels: new Uint8Array() };
      expect(pixels.length).toBe(size * size * 3);
      expect(Array.from(pixels.slice(0, 3))).toEqual(emojiBackground);
      reds.add(pixels[(size - 1) * 3] ?? -1);
    }
    seen.push(...reds);
  }
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 70 }, (_, i) => i));
});

test("the splits are the same at both sizes", async () => {
  const [small, large] = await Promise.all([open(32, "train"), open(64, "train")]);
  expect(small.length).toBe(large.length);
  for (let i = 0; i < small.length; i++) expect(small.get(i).label).toBe(large.get(i).label);
});

test.each([
  ["a group too high", `${head}0\t9\tGroup\t1f600\tname\n`],
  ["a word too few", `${head}0\t1\tGroup\t1f600\n`],
  ["an index out of order", `${head}1\t1\tGroup\t1f600\tname\n`],
  ["an empty table", head],
  ["an empty file", ""],
])("%s is named", async (_, text) => {
  const other = await mkdtemp(join(tmpdir(), "nextx-emoji-"));
  await mkdir(join(other, "noto-emoji-72"));
  await writeFile(join(other, "noto-emoji-72", "labels.tsv"), text);
  const opened = openImageSet("emoji", { size: 32, split: "train", dataRoot: other });
  await expect(opened).rejects.toMatchObject({ code: "DATA_BAD_FILE", path: "noto-emoji-72/labels.tsv" });
  await rm(other, { recursive: true });
});

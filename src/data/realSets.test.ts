/** The real data sets, where NEXTX_DATA names a folder that holds them: sizes, splits, versions, no picture twice. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dataRootFromEnvironment } from "../environment.node.ts";
import { fnv64 } from "./hash.ts";
import { dataHomes } from "./homes.ts";
import { openImageSet } from "./imageSets.node.ts";
import type { Split } from "./types.ts";

const splits: readonly Split[] = ["train", "validation", "test"];
const root = dataRootFromEnvironment() ?? "";
const has = (id: keyof typeof dataHomes) =>
  root !== "" && dataHomes[id].files.every(({ name }) => existsSync(join(root, dataHomes[id].folder, name)));

/** Lengths of train, validation and test. */
const cases = [
  ["tiles", 32, [3532, 197, 200]],
  ["emoji", 32, [1471, 87, 86]],
  ["emoji", 64, [1471, 87, 86]],
  ["eurosat", 32, [887, 113, 300]],
  ["eurosat", 64, [887, 113, 300]],
  ["cifar10", 32, [8935, 1065, 5000]],
  ["fashion-mnist", 32, [55_000, 5000, 10_000]],
] as const;

describe.each(cases)("%s at %i px", (id, size, lengths) => {
  const present = has(id);
  const reason = present ? "" : ` (skipped: NEXTX_DATA does not hold ${dataHomes[id].folder})`;
  test.skipIf(!present)(`every picture in one split only${reason}`, { timeout: 120_000 }, async () => {
    const seen = new Map<string, Split>();
    const found: number[] = [];
    for (const split of splits) {
      const set = await openImageSet(id, { size, split, dataRoot: root });
      found.push(set.length);
      const counts = new Array<number>(set.classNames.length).fill(0);
      for (let i = 0; i < set.length; i++) {
        const { pixels, label } = set.get(i);
        counts[label] = (counts[label] ?? 0) + 1;
        const content = fnv64(pixels);
        const before = seen.get(content) ?? split;
        if (before !== split) throw new Error(`picture ${i} of ${split} is in ${before} too`);
        seen.set(content, split);
      }
      if (split === "train") expect(Math.min(...counts)).toBeGreaterThan(0);
    }
    expect(found).toEqual(lengths);
  });
});

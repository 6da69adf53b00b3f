import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { encode } from "fast-png";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { imageSets, openImageSet } from "./imageSets.node.ts";
import { splitOfName } from "./pictureSet.ts";
import { tilesBackground } from "./tiles.node.ts";
import type { Split } from "./types.ts";

const splits: readonly Split[] = ["train", "validation", "test"];
let root = "";

function idx(dims: readonly number[], data: Uint8Array, type = 8): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 + 4 * dims.length));
  header.setUint32(0, type * 256 + dims.length);
  for (const [i, dim] of dims.entries()) header.setUint32(4 + 4 * i, dim);
  return gzipSync(Buffer.concat([new Uint8Array(header.buffer), data]), { level: 1 });
}

/** n grey pictures whose corner is 255 and whose other pixels are the index. */
async function writeFashion(part: string, n: number): Promise<void> {
  const folder = join(root, "fashion-mnist");
  await mkdir(folder, { recursive: true });
  const images = Uint8Array.from({ length: n * 784 }, (_, i) =>
    i % 784 === 0 ? 255 : Math.floor(i / 784) % 250,
  );
  await writeFile(join(folder, `${part}-images-idx3-ubyte.gz`), idx([n, 28, 28], images));
  const labels = Uint8Array.from({ length: n }, (_, i) => i % 10);
  await writeFile(join(folder, `${part}-labels-idx1-ubyte.gz`), idx([n], labels));
}

/** n tiles: opaque with red = index, except that the first pixel is clear and the second half clear. */
async function writeTiles(n: number): Promise<void> {
  const folder = join(root, "dcss-tiles-32");
  await mkdir(folder, { recursive: true });
  const rows = Array.from({ length: n }, (_, i) => `${i}\t${i % 8}\tname\tfolder/tile${i}`);
  await writeFile(join(folder, "labels.tsv"), `index\tclass\tclass_name\tpath\n${rows.join("\n")}\n`);
  const data = new Uint8Array(n * 32 * 32 * 4);
  for (let tile = 0; tile < n; tile++) {
    data.set([0, 0, 0, 0, 255, 255, 255, 128], tile * 4096);
    for (let pixel = 2; pixel < 1024; pixel++) data.set([tile, 10, 20, 255], tile * 4096 + pixel * 4);
  }
  const strip = encode({ width: 32, height: 32 * n, data, channels: 4, depth: 8 });
  await writeFile(join(folder, "tiles-0.png"), strip);
}

/** 40 pictures in each of two classes, 12 x 8, of one colour each. */
async function writeFolder(): Promise<void> {
  for (const [name, green] of [
    ["b-class", 50],
    ["a-class", 100],
  ] as const) {
    await mkdir(join(root, "pictures", name, "deep"), { recursive: true });
    for (let i = 0; i < 40; i++) {
      const data = Uint8Array.from({ length: 12 * 8 * 3 }, (_, j) => [i, green, 7][j % 3] ?? 0);
      const file = join(root, "pictures", name, i % 2 === 0 ? "deep" : "", `${i}.png`);
      await writeFile(file, encode({ width: 12, height: 8, data, channels: 3, depth: 8 }));
    }
  }
  await writeFile(join(root, "pictures", "a-class", "notes.txt"), "no picture");
  await symlink("/etc/hosts", join(root, "pictures", "a-class", "link.png"));
  await mkdir(join(root, "empty"));
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-data-"));
  await Promise.all([writeFashion("train", 6000), writeFashion("t10k", 30), writeTiles(200), writeFolder()]);
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

describe("fashion-mnist", () => {
  test("the official training file is split once, t10k is the test split", async () => {
    const [train, validation, held] = await Promise.all(
      splits.map((split) => openImageSet("fashion-mnist", { size: 32, split, dataRoot: root })),
    );
    expect([train?.length, validation?.length, held?.length]).toEqual([1000, 5000, 30]);
    expect(held?.get(13).label).toBe(3);
    expect(train?.version).toBe(validation?.version);
  });

  test("pictures stand in a black border, grey on three channels", async () => {
    const set = await openImageSet("fashion-mnist", { size: 32, split: "test", dataRoot: root });
    const { pixels } = set.get(7);
    const at = (row: number, column: number) => Array.from(pixels.slice((row * 32 + column) * 3).slice(0, 3));
    expect([at(1, 5), at(2, 2), at(2, 3), at(29, 29), at(30, 29)]).toEqual([
      [0, 0, 0],
      [255, 255, 255],
      [7, 7, 7],
      [7, 7, 7],
      [0, 0, 0],
    ]);
  });
});

describe("damaged files of fashion-mnist", () => {
  const images = new Uint8Array(3 * 784);
  test.each([
    ["fewer labels", images, [3, 28, 28], 8, [1, 2], "DATA_BAD_FILE"],
    ["a label too high", images, [3, 28, 28], 8, [1, 2, 10], "DATA_BAD_FILE"],
    ["other sides", images, [3, 56, 14], 8, [1, 2, 3], "DATA_BAD_FILE"],
    ["signed bytes", images, [3, 28, 28], 9, [1, 2, 3], "DATA_BAD_FILE"],
    ["fewer bytes", images.subarray(1), [3, 28, 28], 8, [1, 2, 3], "IDX_SIZE_MISMATCH"],
  ] as const)("%s", async (_, data, dims, type, labels, code) => {
    const other = await mkdtemp(join(tmpdir(), "nextx-data-"));
    await mkdir(join(other, "fashion-mnist"));
    const name = (kind: string) => join(other, "fashion-mnist", `t10k-${kind}-ubyte.gz`);
    await writeFile(name("images-idx3"), idx(dims, data, type));
    await writeFile(name("labels-idx1"), idx([labels.length], Uint8Array.from(labels)));
    const opened = openImageSet("fashion-mnist", { size: 32, split: "test", dataRoot: other });
    await expect(opened).rejects.toMatchObject({ code, path: "fashion-mnist/t10k-images-idx3-ubyte.gz" });
    await rm(other, { recursive: true });
  });
});

describe("tiles", () => {
  test("each tile is in the split of its path, over the dark ground", async () => {
    const seen: number[] = [];
    for (const split of splits) {
      const set = await openImageSet("tiles", { size: 32, split, dataRoot: root });
      for (let i = 0; i < set.length; i++) {
        const { pixels, label } = set.get(i);
        const tile = pixels[6] ?? 0;
        expect(label).toBe(tile % 8);
        expect(splitOfName(`folder/tile${tile}`)).toBe(split);
        expect(Array.from(pixels.slice(0, 9))).toEqual([...tilesBackground, 140, 139, 144, tile, 10, 20]);
        seen.push(tile);
      }
    }
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  test("damaged labels are named", async () => {
    const other = await mkdtemp(join(tmpdir(), "nextx-data-"));
    await mkdir(join(other, "dcss-tiles-32"));
    await writeFile(join(other, "dcss-tiles-32", "labels.tsv"), "index\tclass\n0\t9\tname\tpath\n");
    const opened = openImageSet("tiles", { size: 32, split: "train", dataRoot: other });
    await expect(opened).rejects.toMatchObject({ code: "DATA_BAD_FILE", path: "dcss-tiles-32/labels.tsv" });
    await rm(other, { recursive: true });
  });
});

describe("folder", () => {
  test("classes by name, pictures resized, links left out", async () => {
    let total = 0;
    for (const split of splits) {
      const set = await openImageSet("folder", { size: 16, split, dataRoot: join(root, "pictures") });
      expect(set.classNames).toEqual(["a-class", "b-class"]);
      for (let i = 0; i < set.length; i++) {
        const { pixels, label } = set.get(i);
        expect(pixels.length).toBe(16 * 16 * 3);
        expect([pixels[1], pixels[2]]).toEqual([label === 0 ? 100 : 50, 7]);
      }
      total += set.length;
    }
    expect(total).toBe(80);
  });

  test("a folder without classes says so", async () => {
    const opened = openImageSet("folder", { size: 16, split: "train", dataRoot: join(root, "empty") });
    await expect(opened).rejects.toMatchObject({ code: "DATA_NO_CLASSES" });
  });
});

describe("the registry", () => {
  test("synth needs no files", async () => {
    const set = await openImageSet("synth", { size: 64, split: "validation" });
    expect([set.id, set.size, set.length, set.classNames.length]).toEqual(["synth", 64, 2000, 16]);
    for (const entry of Object.values(imageSets)) expect(entry.numClasses).toBe(entry.classNames?.length);
  });

  test.each(["fashion-mnist", "tiles", "folder"])(
    "missing files of %s are named with their home",
    async (id) => {
      const dataRoot = join(root, "nowhere");
      const failure = await openImageSet(id, { size: 32, split: "train", dataRoot }).catch(
        (error: unknown) => error,
      );
      expect(failure).toBeInstanceOf(NextxError);
      expect(failure).toMatchObject({ code: "DATA_NOT_FOUND", path: expect.stringContaining(dataRoot) });
      expect((failure as NextxError).hint).toContain("NEXTX_DATA"); // seen to be one above
    },
  );

  test.each([
    ["nothing", { size: 32, split: "train" }, "DATA_UNKNOWN_SET"],
    ["toString", { size: 32, split: "train" }, "DATA_UNKNOWN_SET"],
    ["synth", { size: 48, split: "train" }, "DATA_BAD_SIZE"],
    ["tiles", { size: 32, split: "train" }, "DATA_NO_ROOT"],
    ["folder", { size: 7, split: "train", dataRoot: "x" }, "DATA_BAD_SIZE"],
  ] as const)("refuses %s with %o", async (id, options, code) => {
    await expect(openImageSet(id, options)).rejects.toMatchObject({ code });
  });
});

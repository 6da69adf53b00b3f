import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "fast-png";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { decodePng, parseIdx, readImageFile } from "./decoders.node.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-decoders-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const png = encode({
  width: 2,
  height: 1,
  data: new Uint8Array([1, 2, 3, 255, 9, 9, 9, 0]),
  channels: 4,
  depth: 8,
});

describe("IDX", () => {
  test("dimensions and bytes", () => {
    const bytes = new Uint8Array([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]);
    expect(parseIdx(bytes, "x")).toEqual({ dims: [1, 3], data: new Uint8Array([7, 8, 9]) });
  });

  test.each([
    [[]],
    [[0, 0, 8]],
    [[0, 0, 13, 1, 0, 0, 0, 1, 7]],
    [[0, 0, 8, 1, 0, 0, 0, 2, 7]],
    [[0, 0, 8, 1, 255, 255, 255, 255, 7]],
    [[0, 0, 8, 255, 0]],
  ])("refuses %j", (bytes) => {
    expect(() => parseIdx(new Uint8Array(bytes), "x")).toThrow(NextxError);
  });
});

describe("pictures", () => {
  test("every single flipped byte of a PNG is noticed or harmless", () => {
    const whole = decodePng(png, "x");
    for (let i = 0; i < png.length; i++) {
      const damaged = png.slice();
      damaged[i] = (damaged[i] ?? 0) ^ 4;
      try {
        expect(decodePng(damaged, "x")).toEqual(whole);
      } catch (error) {
        expect(error).toBeInstanceOf(NextxError);
      }
    }
    for (let end = 0; end < png.length; end++) {
      try {
        expect(decodePng(png.slice(0, end), "x")).toEqual(whole);
      } catch (error) {
        expect(error).toBeInstanceOf(NextxError);
      }
    }
  });

  test("a huge declared size is refused before unpacking", () => {
    const huge = png.slice();
    new DataView(huge.buffer).setUint32(16, 60_000);
    new DataView(huge.buffer).setUint32(20, 60_000);
    expect(() => decodePng(huge, "x")).toThrow("64 million");
  });

  test("PNG kinds and JPEG become RGB over white", async () => {
    const grey = encode({ width: 1, height: 1, data: new Uint8Array([77]), channels: 1, depth: 8 });
    const deep = encode({
      width: 1,
      height: 1,
      data: new Uint16Array([0xffff, 0, 0]),
      channels: 3,
      depth: 16,
    });
    const jpeg = await sharp({ create: { width: 8, height: 8, channels: 3, background: "#20a040" } })
      .jpeg()
      .toBuffer();
    const files = { "a.png": png, "b.png": grey, "c.png": deep, "d.jpg": jpeg };
    const read: Record<string, number[]> = {};
    for (const [name, bytes] of Object.entries(files)) {
      await writeFile(join(root, name), bytes);
      read[name] = Array.from((await readImageFile(join(root, name))).pixels.slice(0, 6));
    }
    expect(read["a.png"]).toEqual([1, 2, 3, 255, 255, 255]);
    expect(read["b.png"]).toEqual([77, 77, 77]);
    expect(read["c.png"]).toEqual([255, 0, 0]);
    for (const [i, value] of [0x20, 0xa0, 0x40].entries()) {
      expect(Math.abs((read["d.jpg"]?.[i] ?? 0) - value)).toBeLessThan(4);
    }
  });

  test("what is no picture is an error of ours", async () => {
    await writeFile(join(root, "text.jpg"), "hello");
    await expect(readImageFile(join(root, "text.jpg"))).rejects.toMatchObject({ code: "DATA_BAD_FILE" });
    await expect(readImageFile(join(root, "none.jpg"))).rejects.toBeInstanceOf(NextxError);
  });
});

import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage, readImageFile } from "./imageFile.node.ts";
import { encodePng } from "./png.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-images-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const green = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: "#20a040" } });

/** Largest distance of the first pixel from #20a040. */
const distance = (pixels: Uint8Array) =>
  Math.max(...[0x20, 0xa0, 0x40].map((value, i) => Math.abs((pixels[i] ?? 999) - value)));

describe("picture files", () => {
  test.each(["jpeg", "webp", "gif", "avif", "tiff", "png"] as const)(
    "%s, whatever its name",
    async (kind) => {
      const path = join(root, "picture.txt");
      await writeFile(path, await green(9, 5).toFormat(kind).toBuffer());
      const { width, height, pixels } = await readImageFile(path);
      expect([width, height, pixels.length]).toEqual([9, 5, 135]);
      expect(distance(pixels)).toBeLessThan(8);
    },
  );

  test("a photograph is turned as the camera was held", async () => {
    const bytes = await green(9, 5).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const { width, height } = await decodeImage(bytes, "x.jpg");
    expect([width, height]).toEqual([5, 9]);
  });

  test("grey and CMYK JPEG become RGB", async () => {
    for (const space of ["b-w", "cmyk"]) {
      const { pixels } = await decodeImage(await green(8, 8).toColourspace(space).jpeg().toBuffer(), "x.jpg");
      expect(pixels.length).toBe(192);
    }
  });

  test("transparent parts show the background", async () => {
    const clear = sharp({
      create: { width: 1, height: 1, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
    });
    const webp = await clear.webp({ lossless: true }).toBuffer();
    expect((await decodeImage(webp, "x.webp")).pixels).toEqual(Uint8Array.of(255, 255, 255));
    expect((await decodeImage(webp, "x.webp", { background: [1, 2, 3] })).pixels).toEqual(
      Uint8Array.of(1, 2, 3),
    );
  });

  test("a kind of PNG that ours leaves out goes to the other decoder", async () => {
    const rows = { width: 16, height: 8, pixels: new Uint8Array(384).fill(255) };
    const bits = await sharp(encodePng(rows))
      .png({ palette: true, colours: 2, progressive: true })
      .toBuffer();
    expect((await decodeImage(bits, "x.png")).pixels).toEqual(rows.pixels);
  });
});

describe("what cannot be read", () => {
  test("no picture, no file, a folder, too large a file", async () => {
    const path = join(root, "a.jpg");
    await writeFile(path, "hello, this is a text");
    await expect(readImageFile(path)).rejects.toMatchObject({ code: "IMAGE_BAD_FILE", path });
    await writeFile(path, "");
    await expect(readImageFile(path)).rejects.toMatchObject({ code: "IMAGE_BAD_FILE" });
    await truncate(path, 2 ** 28 + 1); // sparse
    await expect(readImageFile(path)).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
    await expect(readImageFile(join(root, "none.png"))).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await mkdir(join(root, "folder.png"));
    await expect(readImageFile(join(root, "folder.png"))).rejects.toMatchObject({ code: "IMAGE_BAD_FILE" });
  });

  test("an SVG never reaches a decoder", async () => {
    const svg = new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    await expect(decodeImage(svg, "x.svg")).rejects.toMatchObject({ code: "IMAGE_BAD_FILE" });
  });

  test("a cut or garbled JPEG, and a huge claim", async () => {
    const jpeg = await green(64, 64).jpeg().toBuffer();
    for (const end of [4, 20, jpeg.length >> 1, jpeg.length - 20]) {
      const read = decodeImage(jpeg.subarray(0, end), "x.jpg");
      await expect(read, `cut at ${end}`).rejects.toMatchObject({ code: "IMAGE_BAD_FILE" });
    }
    const huge = Uint8Array.from(jpeg);
    const frame = huge.findIndex((byte, i) => byte === 0xff && huge[i + 1] === 0xc0);
    huge.set([255, 0, 255, 0], frame + 5); // height and width 65,280
    await expect(decodeImage(huge, "x.jpg")).rejects.toMatchObject({ code: "IMAGE_TOO_LARGE" });
  });

  test("the optional package is named when it is missing", async () => {
    const jpeg = await green(8, 8).jpeg().toBuffer();
    const loadSharp = () => Promise.reject(new Error("Cannot find package 'sharp'"));
    await expect(decodeImage(jpeg, "x.jpg", { loadSharp })).rejects.toMatchObject({
      code: "IMAGE_NEEDS_SHARP",
      message: "x.jpg is JPEG, which needs the package sharp.",
      hint: expect.stringContaining("npm install sharp"),
    });
    const png = encodePng({ width: 1, height: 1, pixels: Uint8Array.of(1, 2, 3) });
    expect((await decodeImage(png, "x.png", { loadSharp })).pixels).toEqual(Uint8Array.of(1, 2, 3));
  });
});

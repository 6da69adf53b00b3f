import fc from "fast-check";
import { encode } from "fast-png";
import { zlibSync } from "fflate";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { decodePng, decodePngRgba, encodePng, flattenRgba, readPngRecipe } from "./png.ts";
import { crc32, isPng } from "./pngChunks.ts";
import { recipeToText } from "./recipeChunk.ts";

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const join = (parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
const big32 = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = join([ascii(type), data]);
  return join([big32(data.length), body, big32(crc32(body))]);
}

/** A PNG of these scan lines (filter bytes included). */
function makePng(
  header: readonly number[],
  lines: Uint8Array,
  before: readonly Uint8Array[] = [],
): Uint8Array {
  const [width = 1, height = 1, ...rest] = header;
  return join([
    Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
    chunk("IHDR", join([big32(width), big32(height), Uint8Array.from(rest)])),
    ...before,
    chunk("IDAT", zlibSync(lines)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

/** Every pixel differs a little; alpha too when there are four channels. */
const ramp = (width: number, height: number, channels: number) =>
  Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 37 + (i >> 5)) & 255);

const image = { width: 5, height: 3, pixels: ramp(5, 3, 3) };
const code = (run: () => unknown): string => {
  try {
    run();
    return "accepted";
  } catch (error) {
    expect(error).toBeInstanceOf(NextxError);
    return (error as NextxError).code;
  }
};

describe("encode and decode", () => {
  test("give the same pixels for any size, and the same bytes each time", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), (width, height) => {
        const picture = { width, height, pixels: ramp(width, height, 3) };
        const bytes = encodePng(picture);
        expect(decodePng(bytes)).toEqual(picture);
        expect(encodePng(picture)).toEqual(bytes);
      }),
    );
  });

  test.each([
    [{ width: 0, height: 1, pixels: new Uint8Array(0) }],
    [{ width: 1.5, height: 2, pixels: new Uint8Array(9) }],
    [{ width: 2, height: 1, pixels: new Uint8Array(5) }],
    [{ width: 2 ** 20, height: 2 ** 20, pixels: new Uint8Array(3) }],
  ])("refuses %j", (bad) => {
    expect(code(() => encodePng(bad))).toBe("PNG_BAD_IMAGE");
  });
});

describe("kinds of PNG", () => {
  const raw = { width: 33, height: 17, channels: 4 } as const;
  const rgba = Buffer.from(ramp(33, 17, 4));
  const kinds: [string, () => Promise<Buffer>][] = [
    ["RGBA", () => sharp(rgba, { raw }).png().toBuffer()],
    ["RGB", () => sharp(rgba, { raw }).removeAlpha().png().toBuffer()],
    ["interlaced RGBA", () => sharp(rgba, { raw }).png({ progressive: true }).toBuffer()],
    ["16-bit RGB", () => sharp(rgba, { raw }).removeAlpha().toColourspace("rgb16").png().toBuffer()],
    ["grey", () => sharp(rgba, { raw }).removeAlpha().toColourspace("b-w").png().toBuffer()],
    ["palette", () => sharp(rgba, { raw }).png({ palette: true, colours: 200 }).toBuffer()],
    ["palette of 4 bits", () => sharp(rgba, { raw }).png({ palette: true, colours: 16 }).toBuffer()],
    ["palette of 2 bits", () => sharp(rgba, { raw }).png({ palette: true, colours: 4 }).toBuffer()],
    ["palette of 1 bit", () => sharp(rgba, { raw }).png({ palette: true, colours: 2 }).toBuffer()],
  ];
  test.each(kinds)("%s is read as another decoder reads it", async (_, make) => {
    const bytes = await make();
    const { data, info } = await sharp(bytes)
      .toColourspace("srgb")
      .ensureAlpha()
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    const ours = decodePngRgba(bytes);
    expect([ours.width, ours.height]).toEqual([info.width, info.height]);
    const worst = ours.pixels.reduce((most, v, i) => Math.max(most, Math.abs(v - (data[i] ?? 999))), 0);
    expect(worst).toBeLessThanOrEqual(_ === "16-bit RGB" ? 1 : 0);
  });

  test.each([1, 2, 4])("grey of %i bits spreads over 0 to 255", (depth) => {
    const most = 2 ** depth - 1;
    const bytes = makePng(
      [2, 2, depth, 0, 0, 0, 0],
      Uint8Array.of(0, most << (8 - depth), 0, most << (8 - 2 * depth)),
    );
    const { pixels } = decodePng(bytes);
    expect([0, 3, 6, 9].map((i) => pixels[i])).toEqual([255, 0, 0, 255]);
  });

  test("grey with alpha, 16-bit alpha and transparent colours", () => {
    const greyAlpha = encode({
      width: 2,
      height: 1,
      data: Uint8Array.of(9, 255, 9, 0),
      channels: 2,
      depth: 8,
    });
    expect(decodePng(greyAlpha).pixels).toEqual(Uint8Array.of(9, 9, 9, 255, 255, 255));
    const deep = encode({
      width: 1,
      height: 1,
      data: Uint16Array.of(0, 65535, 257, 0x8080),
      channels: 4,
      depth: 16,
    });
    expect(decodePngRgba(deep).pixels).toEqual(Uint8Array.of(0, 255, 1, 128));
    const greyKey = chunk("tRNS", Uint8Array.of(0, 7));
    const grey = makePng([2, 1, 8, 0, 0, 0, 0], Uint8Array.of(0, 7, 8), [greyKey]);
    expect(decodePng(grey, { background: [1, 2, 3] }).pixels).toEqual(Uint8Array.of(1, 2, 3, 8, 8, 8));
    const rgbKey = chunk("tRNS", Uint8Array.of(0, 1, 0, 2, 0, 3));
    const rgb = makePng([3, 1, 8, 2, 0, 0, 0], Uint8Array.of(0, 1, 2, 3, 1, 2, 4, 9, 9, 9), [rgbKey]);
    expect([3, 7, 11].map((i) => decodePngRgba(rgb).pixels[i])).toEqual([0, 255, 255]);
  });

  test("alpha is laid over the background", () => {
    const pixels = Uint8Array.of(0, 100, 200, 128);
    expect(flattenRgba({ width: 1, height: 1, pixels }).pixels).toEqual(Uint8Array.of(127, 177, 227));
    expect(flattenRgba({ width: 1, height: 1, pixels }, [0, 0, 0]).pixels).toEqual(Uint8Array.of(0, 50, 100));
  });
});

describe("hostile files", () => {
  const whole = encodePng(image, { recipe: { a: 1 } });

  test("every cut and every flipped bit is an error of ours or harmless", () => {
    for (let end = 0; end < whole.length; end++)
      expect(["PNG_NOT_PNG", "PNG_TRUNCATED"]).toContain(code(() => decodePng(whole.slice(0, end))));
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const damaged = whole.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(code(() => decodePng(damaged))).not.toBe("accepted");
      expect(code(() => readPngRecipe(damaged))).not.toBe("accepted");
    }
  });

  test("random bytes after the signature", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
        const file = join([whole.subarray(0, 8), noise]);
        expect(code(() => decodePng(file))).not.toBe("accepted");
      }),
    );
  });

  const line = Uint8Array.of(0, 1, 2, 3);
  const cases: [string, string, () => Uint8Array][] = [
    ["nothing", "PNG_NOT_PNG", () => new Uint8Array(0)],
    ["a text", "PNG_NOT_PNG", () => ascii("hello, this is a text")],
    ["a wrong CRC", "PNG_BAD_CRC", () => whole.map((byte, i) => (i === 30 ? byte ^ 1 : byte))],
    ["65,000 x 65,000 pixels", "PNG_TOO_LARGE", () => makePng([65_000, 65_000, 8, 2, 0, 0, 0], line)],
    ["2^31 pixels a side", "PNG_TOO_LARGE", () => makePng([2 ** 31, 2 ** 31, 8, 2, 0, 0, 0], line)],
    ["no width", "PNG_DAMAGED", () => makePng([0, 1, 8, 2, 0, 0, 0], line)],
    ["a bit depth of 3", "PNG_DAMAGED", () => makePng([1, 1, 3, 2, 0, 0, 0], line)],
    ["16-bit palette", "PNG_DAMAGED", () => makePng([1, 1, 16, 3, 0, 0, 0], line)],
    ["colour type 5", "PNG_DAMAGED", () => makePng([1, 1, 8, 5, 0, 0, 0], line)],
    ["an unknown compression", "PNG_DAMAGED", () => makePng([1, 1, 8, 2, 1, 0, 0], line)],
    ["an unknown interlace", "PNG_DAMAGED", () => makePng([1, 1, 8, 2, 0, 0, 2], line)],
    ["an unknown filter", "PNG_DAMAGED", () => makePng([1, 1, 8, 2, 0, 0, 0], Uint8Array.of(9, 1, 2, 3))],
    ["too few pixels", "PNG_TRUNCATED", () => makePng([1, 2, 8, 2, 0, 0, 0], line)],
    ["too many pixels", "PNG_DAMAGED", () => makePng([1, 1, 8, 2, 0, 0, 0], join([line, line]))],
    ["an unpacking bomb", "PNG_DAMAGED", () => makePng([1, 1, 8, 2, 0, 0, 0], new Uint8Array(50_000_000))],
    ["a short header", "PNG_DAMAGED", () => join([whole.subarray(0, 8), chunk("IHDR", new Uint8Array(12))])],
    [
      "two headers",
      "PNG_DAMAGED",
      () => makePng([1, 1, 8, 2, 0, 0, 0], line, [chunk("IHDR", whole.slice(16, 29))]),
    ],
    ["no palette", "PNG_DAMAGED", () => makePng([1, 1, 8, 3, 0, 0, 0], Uint8Array.of(0, 0))],
    [
      "a colour beyond its palette",
      "PNG_DAMAGED",
      () => makePng([1, 1, 8, 3, 0, 0, 0], Uint8Array.of(0, 1), [chunk("PLTE", Uint8Array.of(1, 2, 3))]),
    ],
    [
      "two palettes",
      "PNG_DAMAGED",
      () => {
        const palette = chunk("PLTE", Uint8Array.of(1, 2, 3));
        return makePng([1, 1, 8, 3, 0, 0, 0], Uint8Array.of(0, 0), [palette, palette]);
      },
    ],
    [
      "an unknown critical chunk",
      "PNG_UNSUPPORTED",
      () => makePng([1, 1, 8, 2, 0, 0, 0], line, [chunk("ABCD", line)]),
    ],
    [
      "interlaced single bits",
      "PNG_UNSUPPORTED",
      () => makePng([1, 1, 1, 0, 0, 0, 1], Uint8Array.of(0, 128)),
    ],
    [
      "a chunk name of digits",
      "PNG_DAMAGED",
      () => makePng([1, 1, 8, 2, 0, 0, 0], line, [chunk("12ab", line)]),
    ],
  ];
  test.each(cases)("%s", (_, expected, make) => {
    expect(code(() => decodePng(make()))).toBe(expected);
  });

  test("extra chunks with bombs inside and bytes after the end do not matter", () => {
    const profile = join([ascii("x"), Uint8Array.of(0, 0), zlibSync(new Uint8Array(10_000_000))]);
    const extra = [chunk("iCCP", profile), chunk("tEXt", ascii("no zero here"))];
    const bytes = join([makePng([1, 1, 8, 2, 0, 0, 0], line, extra), ascii("tail")]);
    expect(decodePng(bytes).pixels).toEqual(Uint8Array.of(1, 2, 3));
    expect(isPng(bytes)).toBe(true);
  });
});

describe("recipes", () => {
  test("come back as they were, whatever characters they hold", () => {
    const plain = fc.dictionary(
      fc.string({ unit: "binary" }).filter((key) => key !== "__proto__"),
      fc.oneof(fc.string({ unit: "binary" }), fc.integer(), fc.boolean()),
    );
    fc.assert(
      fc.property(plain, (recipe) => {
        const bytes = encodePng(image, { recipe });
        expect(readPngRecipe(bytes)).toEqual(recipe);
        expect(decodePng(bytes)).toEqual(image);
      }),
    );
  });

  test("are ASCII in the file", () => {
    const text = recipeToText({ name: "Wärme \u{1f600} \u007f" });
    expect(text).toBe('{"name":"W\\u00e4rme \\ud83d\\ude00 \\u007f"}');
  });

  const withText = (...texts: string[]) =>
    makePng(
      [1, 1, 8, 2, 0, 0, 0],
      Uint8Array.of(0, 1, 2, 3),
      texts.map((text) => chunk("tEXt", ascii(text))),
    );
  const cases: [string, string, Uint8Array][] = [
    ["none", "PNG_NO_RECIPE", withText("Software\0other", "nextx-else\0{}")],
    ["two", "PNG_BAD_RECIPE", withText("nextx\0{}", "nextx\0{}")],
    ["the same key twice", "PNG_BAD_RECIPE", withText('nextx\0{"a":1,"a":2}')],
    ["not JSON", "PNG_BAD_RECIPE", withText("nextx\0{")],
    ["a list", "PNG_BAD_RECIPE", withText("nextx\0[]")],
    ["null", "PNG_BAD_RECIPE", withText("nextx\0null")],
    ["Latin-1", "PNG_BAD_RECIPE", withText('nextx\0{"a":"\xe4"}')],
    ["very deep", "PNG_BAD_RECIPE", withText(`nextx\0${'{"a":'.repeat(1e5)}1${"}".repeat(1e5)}`)],
    ["very long", "PNG_BAD_RECIPE", withText(`nextx\0{"a":"${"x".repeat(2 ** 20)}"}`)],
    ["not a PNG", "PNG_NOT_PNG", ascii("GIF89a")],
  ];
  test.each(cases)("%s", (_, expected, bytes) => {
    expect(code(() => readPngRecipe(bytes))).toBe(expected);
  });

  test("brackets inside strings do not count as depth", () => {
    const recipe = { text: `${"[".repeat(100)}\\"{{` };
    expect(readPngRecipe(encodePng(image, { recipe }))).toEqual(recipe);
  });

  test("what is no JSON object is refused when writing", () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(code(() => encodePng(image, { recipe: loop }))).toBe("PNG_BAD_RECIPE");
    expect(code(() => encodePng(image, { recipe: { a: "x".repeat(2 ** 20) } }))).toBe("PNG_BAD_RECIPE");
    expect(code(() => encodePng(image, { recipe: { a: "\ud800" } }))).toBe("PNG_BAD_RECIPE");
    expect(code(() => recipeToText([] as unknown as Record<string, unknown>))).toBe("PNG_BAD_RECIPE");
  });
});

/** Schedules that follow from the shapes of a published transformer, and shapes that are not VAR's. */
import { describe, expect, it } from "vitest";
import { type HostTensor, hostTensor } from "../../formats/hostTensor.ts";
import type { OfficialPart } from "../../regimen/officialForm.ts";
import { varOfficial } from "./official.ts";

const part = varOfficial.parts[0] as OfficialPart; // the transformer
const read = () => Promise.reject(new Error("shapes are enough"));

interface Shapes {
  readonly scales: number;
  readonly tokens: number;
  readonly width?: number;
  readonly first?: number;
}

function recognise({ scales, tokens, width = 8, first = 1 }: Shapes, levels?: HostTensor) {
  const shapes = new Map<string, readonly number[]>([
    ["lvl_embed.weight", [scales, width]],
    ["pos_1LC", [1, tokens, width]],
    ["pos_start", [1, first, width]],
    ["head.weight", [16, width]],
    ["class_emb.weight", [11, width]],
    ["blocks.0.ffn.fc1.weight", [32, width]],
  ]);
  if (levels) shapes.set("lvl_1L", levels.shape);
  return part.recognise({
    names: new Set(shapes.keys()),
    shape: (name) => shapes.get(name),
    read: levels ? () => Promise.resolve(levels) : read,
  });
}

it("a tokenizer says the side of the convolutions around its codes where it is not 3", async () => {
  const tokenizer = varOfficial.parts[1] as OfficialPart;
  const sectionOf = async (kernel: number) => {
    const shapes = new Map<string, readonly number[]>([
      ["quantize.embedding.weight", [16, 4]],
      ["encoder.conv_in.weight", [8, 3, 3, 3]],
      ["encoder.down.0.block.0.conv1.weight", [8, 8, 3, 3]],
      ["quant_conv.weight", [4, 4, kernel, kernel]],
    ]);
    const file = { names: new Set(shapes.keys()), shape: (name: string) => shapes.get(name), read };
    return (await tokenizer.recognise(file))?.section;
  };
  expect(await sectionOf(1)).toMatchObject({ quantConvKernel: 1 });
  expect(await sectionOf(3)).not.toHaveProperty("quantConvKernel");
});

/** A buffer that counts the tokens of each side. */
function levelsOf(...sides: number[]): HostTensor {
  const levels = sides.flatMap((side, level) => Array<number>(side * side).fill(level));
  return hostTensor("I32", [1, levels.length], Int32Array.from(levels));
}

describe("the schedule", () => {
  it.each([
    [10, 680, [1, 2, 3, 4, 5, 6, 8, 10, 13, 16]],
    [3, 21, [1, 2, 4]],
    [2, 1 + 256 ** 2, [1, 256]],
    [1, 1, [1]],
  ])("of %i scales and %i tokens", async (scales, tokens, patchNums) => {
    expect((await recognise({ scales, tokens }))?.section).toMatchObject({ patchNums });
  });

  it("is the buffer's where there is one", async () => {
    const levels = levelsOf(1, 2, 5, 10, 11);
    expect((await recognise({ scales: 5, tokens: 251 }, levels))?.section).toMatchObject({
      patchNums: [1, 2, 5, 10, 11],
    });
    const long = { scales: 2, tokens: 1 + 257 ** 2 };
    expect((await recognise(long, levelsOf(1, 257)))?.unknown?.code).toBe("CONVERT_UNKNOWN_SCHEDULE");
  });

  it.each([
    ["several fit", 5, 251],
    ["none fits", 3, 7],
    ["a side is too long", 2, 1 + 257 ** 2],
    [
      "the search is long",
      8,
      1 + 250 ** 2 + 251 ** 2 + 252 ** 2 + 253 ** 2 + 254 ** 2 + 255 ** 2 + 256 ** 2 - 1,
    ],
    ["scales are many", 9, 680],
  ])("is asked for when %s", async (_, scales, tokens) => {
    const found = await recognise({ scales, tokens });
    expect(found?.unknown).toMatchObject({ code: "CONVERT_UNKNOWN_SCHEDULE", path: "transformer.patchNums" });
    expect(found?.section).not.toHaveProperty("patchNums");
  });
});

it.each<[string, Shapes]>([
  ["more tokens than sides up to 256 have", { scales: 3, tokens: 3 * 256 ** 2 + 1 }],
  ["tables without width", { scales: 3, tokens: 21, width: 0 }],
  ["no scale", { scales: 0, tokens: 21 }],
  ["no token", { scales: 3, tokens: 0 }],
  ["a first scale that is no square", { scales: 3, tokens: 21, first: 2 }],
  ["a first scale of nothing", { scales: 3, tokens: 21, first: 0 }],
  ["a first scale beyond 256", { scales: 3, tokens: 21, first: 257 ** 2 }],
  ["2^52 tokens of no width", { scales: 3, tokens: 4503599627370492, width: 0 }],
  ["2^52 tokens", { scales: 3, tokens: 4503599627370492 }],
])("are another system's: %s", async (_, shapes) => {
  expect(await recognise(shapes)).toBeUndefined();
});

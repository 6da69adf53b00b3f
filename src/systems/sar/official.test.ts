/** Official sizes, shape-checked without allocating a weight, and the position table. */
import { describe, expect, it } from "vitest";
import { parameterCount } from "../../nn/scope.ts";
import { largestSide, officialTransformer, tokenizerSchema } from "./config.ts";
import { positionTable } from "./model.ts";
import { sarRecipeSchema, sarRecipes } from "./recipe.ts";
import { sarSystem } from "./system.ts";

function officialSpecs(depth: number) {
  const config = { tokenizer: tokenizerSchema.parse({}), transformer: officialTransformer(depth) };
  return sarSystem.parameters({ system: "sar", config, classNames: [], imageSize: 256 });
}

describe("official sizes", () => {
  // Published: 310 M, 600 M, 1.0 B.
  it.each([
    [16, 310],
    [20, 600],
    [24, 1030],
  ])("depth %i has about %i million parameters", (depth, millions) => {
    const own = new Map([...officialSpecs(depth)].filter(([name]) => name.startsWith("var.")));
    expect(parameterCount(own) / 1e6 / millions).toBeCloseTo(1, 1);
    expect(own.get("var.pos_1LC")?.shape).toEqual([1, 64 * depth, 32, 32]);
    expect(own.get("var.head.weight")?.shape).toEqual([8912, 64 * depth]);
    expect([...own.keys()].some((name) => name.includes("lvl"))).toBe(false);
  });

  it("the tokenizer has the checkpoint's names and shapes", () => {
    const specs = officialSpecs(16);
    const shapes: Record<string, number[]> = {
      "encoder.conv_in.weight": [128, 3, 3, 3],
      "encoder.conv_blocks.2.res.0.nin_shortcut.weight": [256, 128, 1, 1],
      "encoder.conv_blocks.3.downsample.conv.weight": [256, 256, 3, 3],
      "encoder.conv_blocks.4.attn.1.proj_out.weight": [512, 512, 1, 1],
      "encoder.mid.1.q.weight": [512, 512, 1, 1],
      "encoder.conv_out.weight": [256, 512, 3, 3],
      "decoder.conv_in.weight": [512, 256, 3, 3],
      "decoder.conv_blocks.0.attn.2.k.weight": [512, 512, 1, 1],
      "decoder.conv_blocks.0.upsample.conv.weight": [512, 512, 3, 3],
      "decoder.conv_blocks.4.res.2.conv2.weight": [128, 128, 3, 3],
      "quantize.embedding.weight": [8912, 32],
      "quant_conv.weight": [32, 256, 1, 1],
      "post_quant_conv.weight": [256, 32, 1, 1],
    };
    for (const [name, shape] of Object.entries(shapes))
      expect(specs.get(`vae.${name}`)?.shape).toEqual(shape);
    expect(specs.has("vae.decoder.conv_blocks.4.upsample.conv.weight")).toBe(false);
  });
});

describe("what follows from an official model", () => {
  const config = { tokenizer: tokenizerSchema.parse({}), transformer: officialTransformer(16) };
  const usual = sarSystem.usualRecipe?.({ system: "sar", config, classNames: [], imageSize: 256 });

  it("guidance grows up to 16, whatever sides draw", () => {
    expect(largestSide(config.transformer)).toBe(16);
    expect(largestSide({ ...config.transformer, maxSide: undefined })).toBe(32);
  });

  it("it is trained on with the official schedules", () => {
    expect(usual).toMatchObject({
      schedules: { last: 16, budget: 680, middle: { from: 3, to: 10, count: 5 }, fine: { from: 11, to: 15 } },
    });
  });

  it("a recipe whose schedules end elsewhere than the model is refused", () => {
    const { recipe } = sarRecipes["synth-32"];
    const given = { ...recipe, schedules: { ...recipe.schedules, last: 7 } };
    const parsed = sarRecipeSchema.safeParse(given);
    expect(parsed.error?.issues[0]?.path).toEqual(["schedules", "last"]);
    const fixed = { ...given, schedules: { ...given.schedules, random: false } };
    expect(sarRecipeSchema.safeParse(fixed).success).toBe(true);
  });
});

describe("the position table", () => {
  it("is the sine of the row in even channels, the cosine of the column in odd ones", () => {
    const table = positionTable(3, 4, 6);
    expect(table).toHaveLength(72);
    expect(table[(0 * 3 + 2) * 4 + 1]).toBeCloseTo(Math.sin(2), 6);
    expect(table[(1 * 3 + 2) * 4 + 1]).toBeCloseTo(Math.cos(1), 6);
    expect(table[(4 * 3 + 1) * 4 + 3]).toBeCloseTo(Math.sin(10000 ** (-4 / 6)), 6);
  });
});

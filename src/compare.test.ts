import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compare, sameShare } from "./compare.node.ts";
import { load } from "./load.node.ts";
import { quantize } from "./quantize.node.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-compare-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const few = { count: 12, tokenPictures: 32 };

describe.each(["synth-32", "flexvar-synth-32"])("%s", (name) => {
  it("predicts true tokens in int8 as in float32", { timeout: 300_000 }, async () => {
    const path = join(work, `${name}.safetensors`);
    await quantize(name, path, { to: "int8", count: 1, bits: 8 });
    using model = await load(path);
    using reference = await load(name);
    const { tokens, features, sameDrawn, settings } = await compare(model, reference, few);
    expect(tokens?.pictures).toBe(32);
    expect(tokens?.agreement).toBeGreaterThan(0.93);
    expect(tokens?.divergence).toBeLessThan(0.01);
    expect(Math.abs((tokens?.loss.model ?? 9) - (tokens?.loss.reference ?? 0))).toBeLessThan(0.02);
    expect(sameDrawn).toBeLessThan(1);
    expect(features[0]?.between.distance).toBeGreaterThan(0);
    expect(settings).toEqual(reference.recipe().settings);
  });
});

it("finds no difference between a model and itself", { timeout: 300_000 }, async () => {
  using model = await load("synth-32");
  using again = await load("synth-32");
  const report = await compare(model, again, few);
  expect(report).toMatchObject({ sameDrawn: 1, pixelDifference: 0 });
  expect(report.tokens).toMatchObject({ agreement: 1 });
  expect(report.tokens?.divergence).toBeCloseTo(0, 12);
  expect(report.features[0]?.between.distance).toBeCloseTo(0, 3);
});

it("refuses models of different kinds", async () => {
  using model = await load("synth-32");
  using other = await load("flexvar-synth-32");
  await expect(compare(model, other, few)).rejects.toThrow(
    expect.objectContaining({ code: "COMPARE_OTHER_MODEL" }),
  );
});

it("says nothing of tokens where sites are not codes", () => {
  expect(sameShare([], [])).toBeUndefined();
  expect(sameShare([Int32Array.of(1, 2)], [Int32Array.of(1, 3)])).toBe(0.5);
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { hostTensor, toFloat32 } from "./formats/hostTensor.ts";
import { readSafetensors, writeSafetensors } from "./formats/safetensors.ts";
import { load } from "./load.node.ts";
import { findModel, findModelPlace } from "./models.node.ts";
import { quantize } from "./quantize.node.ts";
import { QuantisedValue } from "./runtime/quantised.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-quantize-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const path = (name: string): string => join(work, `${name}.safetensors`);
const withCode = (code: string) => expect.objectContaining({ code });
const models = ["synth-32", "flexvar-synth-32"] as const;

/** The model with its numbers in 32 bits, those of a weight `times` as large. */
async function wide(weight?: string, times = 1): Promise<string> {
  const found = await findModelPlace("synth-32");
  const { tensors, metadata } = readSafetensors(readFileSync(found.path));
  const floats = [...tensors].map(([name, tensor]) => {
    const values = toFloat32(tensor);
    const scaled = name === weight ? values.map((value) => value * times) : values;
    return [name, hostTensor("F32", tensor.shape, scaled)] as const;
  });
  writeFileSync(path("wide"), writeSafetensors(new Map(floats), metadata));
  return path("wide");
}

async function draw(name: string, options: Parameters<Awaited<ReturnType<typeof load>>["sample"]>[0]) {
  using model = await load(name);
  let last: { pixels: Uint8Array; ids: readonly Int32Array[] } = { pixels: new Uint8Array(0), ids: [] };
  for await (const { pixels, ids } of model.sample(options)) last = { pixels, ids };
  return last;
}

describe.each(models)("%s in int8", (name) => {
  const out = path(name);

  it("has a small error in every layer, and says what it is", { timeout: 300_000 }, async () => {
    const report = await quantize(name, out, { to: "int8", count: 4, bits: 8 });
    expect(report.layers.length).toBeGreaterThan(20);
    for (const { name: layer, error } of report.layers) {
      expect(error, layer).toBeGreaterThan(0);
      expect(error, layer).toBeLessThan(0.03);
    }
    expect(report.kept.map(({ why }) => why)).toContain("convolution");
    expect(report.sizeBytes).toBeLessThan(0.85 * report.sourceBytes);
    const { quantisation, card, description } = await findModelPlace(out);
    const source = await findModel(name);
    expect(quantisation).toEqual({
      ...{ kind: "int8", bits: 8, layers: report.layers.length, convolutions: 0 },
      of: source.sha256,
    });
    expect(description).toEqual(source.description);
    expect(card).toMatchObject({ data: source.card?.data, sampling: source.card?.sampling });
    const { weights } = await findModel(out);
    expect([...weights.values()].filter((value) => value instanceof QuantisedValue)).toHaveLength(
      report.layers.length,
    );
  });

  it("draws a picture alone as in a batch of 8, token for token", { timeout: 300_000 }, async () => {
    const eight = await draw(out, { count: 8, seed: 3 });
    const alone = await draw(out, { count: 1, seed: 3, first: 5 });
    eight.ids.forEach((ids, scale) => {
      const size = ids.length / 8;
      expect([...ids.subarray(5 * size, 6 * size)]).toEqual([...(alone.ids[scale] as Int32Array)]);
    });
  });

  it("is not quantised twice", async () => {
    await expect(quantize(out, path("twice"), { to: "int4" })).rejects.toThrow(withCode("QUANTIZE_ALREADY"));
  });
});

describe("quantize", () => {
  it("calibrates convolutions on the model's data", { timeout: 300_000 }, async () => {
    const out = path("calibrated");
    const report = await quantize("synth-32", out, {
      ...{ to: "int8", convolutions: "calibrated", calibration: "data", count: 4 },
      keep: ["vae.encoder."],
    });
    const convolutions = report.layers.filter(({ kind }) => kind === "convolution");
    expect(convolutions.length).toBeGreaterThan(10);
    for (const { name, error } of convolutions) {
      expect(name.startsWith("vae.encoder.")).toBe(false);
      expect(error, name).toBeLessThan(0.05);
    }
    expect(report.kept.filter(({ why }) => why === "asked for").length).toBeGreaterThan(10);
    expect(report.sizeBytes).toBeLessThan(0.7 * report.sourceBytes);
    const [bytes, floats] = [
      await draw(out, { seed: 1, count: 2 }),
      await draw("synth-32", { seed: 1, count: 2 }),
    ];
    expect(bytes.pixels.length).toBe(floats.pixels.length);
    const values = [...(await findModel(out)).weights.values()];
    expect(values.filter((value) => value instanceof QuantisedValue && value.ranges)).toHaveLength(
      convolutions.length,
    );
  });

  it("writes four bits, coarser than eight", { timeout: 300_000 }, async () => {
    const report = await quantize("synth-32", path("four"), { to: "int4", count: 2 });
    for (const { name, error } of report.layers) expect(error, name).toBeLessThan(0.15);
    expect(report.layers.some(({ error }) => error > 0.03)).toBe(true);
    expect(report.sizeBytes).toBeLessThan(0.75 * report.sourceBytes);
    expect((await draw(path("four"), { seed: 1 })).pixels.length).toBe(32 * 32 * 3);
  });

  it("names the weight whose scales float16 does not hold", { timeout: 300_000 }, async () => {
    const source = await wide("var.head.weight", 1e9);
    const work = quantize(source, path("huge"), { to: "int4", count: 1 });
    await expect(work).rejects.toMatchObject({ code: "TENSOR_FLOAT_RANGE", path: "var.head.weight" });
  });

  it("halves what has 32 bits", { timeout: 300_000 }, async () => {
    const source = await wide();
    const report = await quantize(source, path("half"), { to: "f16", count: 2 });
    expect(report.sizeBytes / report.sourceBytes).toBeLessThan(0.52);
    // these numbers were halves before
    expect(report.layers.every(({ error, weightError }) => error === 0 && weightError === 0)).toBe(true);
    const pixels = async (name: string) => [...(await draw(name, { seed: 1 })).pixels];
    expect(await pixels(path("half"))).toEqual(await pixels(source));
  });

  it("refuses what it cannot do", async () => {
    const to = (kind: string) => quantize("synth-32", path("none"), { to: kind });
    await expect(to("int2")).rejects.toThrow(withCode("QUANTIZE_UNKNOWN_KIND"));
    await expect(to("f16")).rejects.toThrow(withCode("QUANTIZE_NOTHING"));
    await expect(
      quantize("synth-32", path("none"), { to: "int8", count: 1, keep: ["var.", "vae."] }),
    ).rejects.toThrow(withCode("QUANTIZE_NOTHING"));
    await expect(quantize("no-such-model", path("none"), { to: "int8" })).rejects.toThrow(
      withCode("MODEL_NOT_FOUND"),
    );
  });
});

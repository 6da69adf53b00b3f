import { expect, it } from "vitest";
import { decodeModel, describedModel, encodeModel, modelMetadata, modelVersion } from "./modelFile.ts";
import { writeSafetensors } from "./safetensors.ts";
import { decodeSeriesModel, encodeSeriesModel, type SeriesDescription } from "./seriesModelFile.ts";
import { codeOf } from "./testing/hostile.ts";

const description = { system: "var", config: { a: 1 }, classNames: ["one"], imageSize: 8 };
const quantisation = { kind: "int8", bits: 8, layers: 2, convolutions: 0, of: "ab" } as const;
const card = { title: "t", system: "var", licence: "MIT", data: "synth", sampling: { topP: 0.9 } };
const head = (metadata: Readonly<Record<string, string>>) => JSON.parse(metadata.nextx ?? "");
const read = (metadata: Readonly<Record<string, string>>) =>
  describedModel(new Map(Object.entries(metadata)), "model");

it("says what a file is apart from what the model is, in the oldest version that can", () => {
  expect(head(modelMetadata(description)).version).toBe(1);
  expect(read(modelMetadata(description))).toEqual({ description, notes: {} });
  const noted = modelMetadata(description, { quantisation, card });
  expect(head(noted).version).toBe(modelVersion);
  expect(read(noted)).toEqual({ description, notes: { quantisation, card } });
});

it("is not inherited by what is written from it", () => {
  const weights = new Map([["w", { data: Float32Array.of(1, 2), shape: [2] }]]);
  const { description: kept } = read(modelMetadata(description, { quantisation }));
  expect(decodeModel(encodeModel({ description: kept, weights }, "F32"))).toEqual({ description, weights });
});

it("refuses unknown kinds and newer versions by name", () => {
  const changed = (change: object) => ({
    nextx: JSON.stringify({ ...head(modelMetadata(description)), ...change }),
  });
  const withCode = (code: string) => expect.objectContaining({ code });
  expect(() => read(changed({ quantisation: { ...quantisation, kind: "int2" } }))).toThrow(
    withCode("MODEL_BAD_HEAD"),
  );
  expect(() => read(changed({ version: modelVersion + 1 }))).toThrow(withCode("MODEL_NEWER_VERSION"));
});

it.each([20_000, 100])("refuses a description that is nested %d deep", async (depth) => {
  const deep = `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const nested = (text: string) => text.replace('"config":{"a":1}', `"config":${deep}`);
  const { nextx = "" } = modelMetadata(description);
  expect(nested(nextx)).toContain(deep);
  expect(await codeOf(() => read({ nextx: nested(nextx) }))).toBe("MODEL_BAD_HEAD");
  const series = JSON.stringify({ format: "nextx-series-model", version: 1, config: { a: 1 } });
  const bytes = writeSafetensors(new Map(), { nextx: nested(series) });
  expect(await codeOf(() => decodeSeriesModel(bytes, "model"))).toBe("MODEL_BAD_HEAD");
});

it("reads a forecaster as it was written", () => {
  const forecaster: SeriesDescription = {
    ...{ system: "autoformer", config: { a: [1, { b: null }] }, set: "waves", setVersion: "0" },
    ...{ contextLength: 8, predictionLength: 4, frequency: "h" },
    channels: [{ name: "\u00e4", mean: -1e-7, deviation: 2 }],
  };
  const weights = new Map([["w", { data: Float32Array.of(1, 2), shape: [2] }]]);
  const bytes = encodeSeriesModel({ description: forecaster, weights });
  expect(decodeSeriesModel(bytes, "model")).toEqual({ description: forecaster, weights });
});

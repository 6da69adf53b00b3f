/** The studio's form as data. */
import { expect, it } from "vitest";
import { z } from "zod";
import type { ModelInfo } from "../src/server/protocol.ts";
import { imageSystems } from "../src/systems/registry.ts";
import { boundedInteger, fieldsOf } from "../studio/fields.ts";
import {
  balancedColumns,
  bounded,
  commandOf,
  type FormValues,
  formOfRecipe,
  maxSeed,
  requestOf,
} from "../studio/form.ts";
import { figure, milestone } from "../studio/format.ts";
import { fitting, type HistoryEntry } from "../studio/historyStore.ts";

const model = { id: "m", classNames: ["a", "b", "c", "d"], imageSize: 32 } as unknown as ModelInfo; // what the form asks
const form = (labels: readonly (number | null)[], first = 0) =>
  formOfRecipe({ model: "m", labels, seed: 5, settings: { topK: 3 }, ...(first > 0 && { first }) }, model);

it("reads classes back from labels", () => {
  expect(form([0, 1, 2, 3, 0])).toMatchObject({ classes: [], count: 5, seed: 5, first: 0 });
  expect(form([2, 3, 0], 2)).toMatchObject({ classes: [], count: 3, first: 2 });
  expect(form([1, 1, 1])).toMatchObject({ classes: [1], count: 3 });
  expect(form([1, 3, 1, 3])).toMatchObject({ classes: [1, 3] });
  expect(form([3, 1, 1])).toMatchObject({ classes: [3, 1, 1] });
  expect(form([0])).toMatchObject({ classes: [0], count: 1 });
  expect(form([null, null])).toMatchObject({ classes: [], count: 2 });
});

it("keeps the classes of an edit whose labels count up", () => {
  const edit = { png: "", box: { y0: 0, x0: 0, y1: 1, x1: 1 } };
  const recipe = { model: "m", seed: 5, settings: {}, edit };
  expect(formOfRecipe({ ...recipe, labels: [0, 1, 2] }, model)).toMatchObject({
    classes: [0, 1, 2],
    count: 3,
  });
  expect(formOfRecipe({ ...recipe, labels: [null, null] }, model)).toMatchObject({ classes: [], count: 2 });
});

it("asks with the drawing where there is one, else with the box, and gets it back from a recipe", () => {
  const box = { y0: 0, x0: 0, y1: 1, x1: 0.5 };
  const edit = { png: "p", box, mask: "m", where: "outside" } as const;
  const values: FormValues = { sides: [], classes: [], count: 1, seed: 3, first: 0, edit };
  const side = { model: "m", settings: {} };
  expect(requestOf(values, side).edit).toEqual({ png: "p", mask: "m", where: "outside" });
  expect(commandOf(values, side)).toContain("--edit source.png --mask mask.png --outpaint");
  const boxed = { ...values, edit: { ...edit, mask: undefined } };
  expect(requestOf(boxed, side).edit).toEqual({ png: "p", box, where: "outside" });
  expect(commandOf(boxed, side)).toContain("--edit source.png --box 0.000,0.000,1.000,0.500 --outpaint");
  const recipe = { model: "m", seed: 5, settings: {}, labels: [null], edit: { png: "p", mask: "m" } };
  expect(formOfRecipe(recipe, model).edit).toMatchObject({ png: "p", mask: "m", where: "inside" });
});

it("asks the server and the command line for the same", () => {
  const values: FormValues = {
    sides: [{ model: "m", settings: { cfgScale: 2, smooth: false } }],
    classes: [1, 2],
    count: 6,
    seed: 9,
    first: 0,
    edit: undefined,
  };
  const [side] = values.sides;
  if (side === undefined) throw new Error("one side");
  expect(requestOf(values, side)).toEqual({
    model: "m",
    settings: side.settings,
    class: [1, 2],
    count: 6,
    seed: 9,
    first: 0,
    columns: 3,
  });
  expect(commandOf(values, side)).toBe(
    "npx nextx sample m --class 1,2 --count 6 --seed 9 --cfg-scale 2 --no-smooth --out sample.png",
  );
});

it("tells what to save where a terminal knows no such model", () => {
  const values = { classes: [], count: 1, seed: 3, first: 0, edit: undefined, sides: [] };
  const command = (model: string, settings: Record<string, unknown> = {}, file?: string) =>
    commandOf(values, { model, settings }, file);
  expect(command("file:synth-32-int4-0a1b2c")).toMatch(
    /^npx nextx sample synth-32-int4\.safetensors --count 1 /,
  );
  expect(command("file:x-0a1b2c", {}, "X_1.safetensors")).toMatch(/^npx nextx sample X_1\.safetensors /);
  expect(command("run:mine")).toMatch(/^npx nextx sample runs\/mine /);
  expect(command("m", { refine: "1/1,3/1 2" })).toContain(" --refine '1/1,3/1 2' ");
});

it("asks for nothing outside the bounds", () => {
  const values: FormValues = { sides: [], classes: [], count: 3000, seed: -4, first: 0, edit: undefined };
  expect(bounded(values)).toMatchObject({ count: 32, seed: 0 });
  const empty = { ...values, count: null, seed: Number.NaN } as unknown as FormValues; // what an empty field binds
  expect(bounded(empty)).toMatchObject({ count: 1, seed: 0 });
  expect(bounded({ ...values, seed: 1e300 }).seed).toBe(maxSeed);
});

it.each([...imageSystems.values()])("has a field for every setting of $id", ({ samplingSchema }) => {
  const schema = z.toJSONSchema(samplingSchema, { io: "input" });
  const fields = fieldsOf(schema);
  expect(fields.map(({ name }) => name).sort()).toEqual(Object.keys(schema.properties ?? {}).sort());
});

it("keeps whole numbers within their own bounds", () => {
  expect([-1, -7, 2.9, Number.NaN, 1e9].map((value) => boundedInteger({ min: -1, max: 100 }, value))).toEqual(
    [-1, -1, 2, 0, 100],
  );
  expect(boundedInteger({ min: 1, max: 5 }, Number.NaN)).toBe(1);
});

it("writes large numbers as people do", () => {
  expect([999_999, 1_234_567, 310_000_000, 2.5e9, 0.1 + 0.2, null].map(figure)).toEqual([
    "999,999",
    "1.235 M",
    "310 M",
    "2,500 M",
    "0.3",
    "–",
  ]);
});

it("tells quarters, not steps", () => {
  const told = Array.from({ length: 101 }, (_, step) => milestone(step, 100));
  expect(new Set(told).size).toBe(5);
  expect([told[24], told[25], told[100], milestone(3, 0)]).toEqual([
    "",
    "A quarter is done.",
    "All steps are done.",
    "",
  ]);
});

it("leaves no half-empty row where it can", () => {
  expect([1, 2, 5, 6, 8, 12, 16].map((count) => balancedColumns(count, Math.sqrt(count)))).toEqual([
    1, 1, 2, 2, 4, 3, 4,
  ]);
});

it("keeps no more history than the page should hold, the newest first, and always the last picture", () => {
  const form: FormValues = { sides: [], classes: [], count: 1, seed: 0, first: 0, edit: undefined };
  const entry = (id: number, characters: number): HistoryEntry => ({
    ...{ id, form },
    results: [{ model: "m", grid: "x".repeat(characters), pictures: [] }],
  });
  const kept = (entries: readonly HistoryEntry[]) => fitting(entries).map(({ id }) => id);
  expect(kept(Array.from({ length: 70 }, (_, i) => entry(i, 1)))).toHaveLength(60);
  const half = 25 * 2 ** 20;
  expect(kept([entry(3, half), entry(2, half), entry(1, 1)])).toEqual([3]);
  expect(kept([entry(3, 1), entry(2, half), entry(1, half)])).toEqual([3, 2]);
  expect(kept([entry(1, 3 * half)])).toEqual([1]);
});

/** The studio's form as data. */
import { expect, it } from "vitest";
import { z } from "zod";
import type { ModelInfo } from "../src/server/protocol.ts";
import { sarSamplingSchema } from "../src/systems/sar/sarModel.ts";
import { varSamplingSchema } from "../src/systems/var/varModel.ts";
import { fieldsOf } from "../studio/fields.ts";
import { balancedColumns, commandOf, type FormValues, formOfRecipe, requestOf } from "../studio/form.ts";

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

it("has a field for every setting of a system", () => {
  for (const schema of [varSamplingSchema, sarSamplingSchema]) {
    const fields = fieldsOf(z.toJSONSchema(schema, { io: "input" }));
    expect(fields.map(({ name }) => name).sort()).toEqual(Object.keys(schema.shape).sort());
    expect(fields[0]).toMatchObject({ name: "cfgScale", kind: "slider", min: 0, max: 8 });
  }
});

it("leaves no half-empty row where it can", () => {
  expect([1, 2, 5, 6, 8, 12, 16].map((count) => balancedColumns(count, Math.sqrt(count)))).toEqual([
    1, 1, 2, 2, 4, 3, 4,
  ]);
});

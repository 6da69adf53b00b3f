/** What the page of runs makes of logged rows and of a recipe's schema. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { leaves } from "../src/cli/flags.ts";
import { resolveRecipe } from "../src/resolveRecipe.ts";
import { imageSystems } from "../src/systems/registry.ts";
import { metricsOf, metricsOfRuns, onOneAxis, smoothed } from "../studio/curves.ts";
import { parseField, recipeGroups, valueAt, withValue } from "../studio/recipeForm.ts";

describe("curves of a log", () => {
  it("has a line per number and one per scale of a list, and keeps gaps", () => {
    const rows = [
      { step: 1, loss: 3, scaleLoss: [4, 2] },
      { step: 2, loss: null, scaleLoss: [3, null] },
      { step: 2, validationLoss: 5 },
    ];
    const metrics = metricsOf(rows);
    expect(metrics.map(({ name }) => name)).toEqual(["loss", "scaleLoss", "validationLoss"]);
    expect(metrics[0]?.lines).toEqual([{ name: "Loss", steps: [1, 2], values: [3, null] }]);
    expect(metrics[1]?.lines.map(({ name, values }) => [name, values])).toEqual([
      ["scale 1", [4, 3]],
      ["scale 2", [2, null]],
    ]);
    expect(metrics[2]?.lines[0]?.steps).toEqual([2]);
  });

  it("smooths raw values: a constant stays, the start is not pulled to 0, gaps count for nothing", () => {
    expect(smoothed([5, 5, 5], 0.9)).toEqual([5, 5, 5].map((value) => expect.closeTo(value, 12)));
    expect(smoothed([1, 2, 4], 0)).toEqual([1, 2, 4]);
    const [first, gap, next] = smoothed([8, null, 2], 0.5);
    expect([first, gap]).toEqual([8, null]);
    expect(next).toBeCloseTo((0.25 * 8 + 0.5 * 2) / 0.75, 12);
  });

  it("has one line per run to compare, of lists per scale their mean", () => {
    const rows = new Map([
      ["a", [{ step: 1, loss: 3, scaleLoss: [4, 2] }]],
      ["b", [{ step: 2, loss: 1 }]],
    ]);
    const metrics = metricsOfRuns(rows);
    expect(metrics.map(({ title }) => title)).toEqual(["Loss", "Loss, mean over scales"]);
    expect(metrics.map(({ lines }) => lines.map(({ name, values }) => [name, values]))).toEqual([
      [
        ["a", [3]],
        ["b", [1]],
      ],
      [["a", [3]]],
    ]);
  });

  it("puts lines of different steps on one axis without inventing values", () => {
    const lines = [
      { name: "a", steps: [1, 3], values: [10, null] },
      { name: "b", steps: [2, 3], values: [20, 30] },
    ];
    expect(onOneAxis(lines)).toEqual({
      steps: [1, 2, 3],
      values: [
        [10, undefined, null],
        [undefined, 20, 30],
      ],
    });
  });
});

describe("the form of a recipe", () => {
  it.each([...imageSystems.values()])(
    "has a bounded field for every value of $id that the command line has",
    (system) => {
      const schema = z.toJSONSchema(system.recipeSchema, { io: "input" });
      const fields = recipeGroups(schema).flatMap((group) => group.fields);
      const paths = fields.map(({ path }) => path.join("."));
      expect([...paths].sort()).toEqual(
        leaves(system.recipeSchema)
          .map(({ path }) => path.join("."))
          .sort(),
      );
      for (const { path, kind, min, max } of fields) {
        if (kind !== "number" && kind !== "integer") continue;
        expect(Number.isFinite(min) && Number.isFinite(max), path.join(".")).toBe(true);
      }
      for (const name of Object.keys(system.recipes))
        expect(valueAt(resolveRecipe(system, name), ["data", "set"]), name).toEqual(expect.any(String));
    },
  );

  it("keeps only what differs, nested like the recipe", () => {
    const one = withValue({}, ["train", "tokenizer", "steps"], 5);
    expect(one).toEqual({ train: { tokenizer: { steps: 5 } } });
    const two = withValue(one, ["seed"], 3);
    expect(withValue(two, ["train", "tokenizer", "steps"], undefined)).toEqual({ seed: 3 });
  });

  it("reads what people type", () => {
    expect(parseField("numbers", "1, 2 3")).toEqual({ value: [1, 2, 3] });
    expect(parseField("integer", "12")).toEqual({ value: 12 });
    expect(parseField("number", " ")).toEqual({ value: undefined });
    expect(parseField("text", "synth")).toEqual({ value: "synth" });
  });

  it("does not take what it cannot read for the recipe's value", () => {
    for (const [kind, text] of [
      ["numbers", "1, 2, 4, x"],
      ["number", "x"],
      ["number", "1 2"],
    ] as const)
      expect(parseField(kind, text), text).toHaveProperty("problem");
  });
});

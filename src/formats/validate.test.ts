import { describe, expect, it } from "vitest";
import { z } from "zod";
import { validate } from "./validate.ts";

const schema = z.strictObject({
  steps: z.int().min(1).default(3),
  inner: z.strictObject({ learningRate: z.number() }).prefault({ learningRate: 1 }),
});

describe("validation", () => {
  it("completes values", () => {
    expect(validate(schema, {}, "recipe")).toEqual({ steps: 3, inner: { learningRate: 1 } });
  });

  it.each([
    [{ stepz: 1 }, "CONFIG_UNKNOWN_KEY", "recipe.stepz", 'Did you mean "steps"?'],
    [
      { inner: { learningrate: 1 } },
      "CONFIG_UNKNOWN_KEY",
      "recipe.inner.learningrate",
      'Did you mean "learningRate"?',
    ],
    [{ steps: 0 }, "CONFIG_BAD_VALUE", "recipe.steps", undefined],
    [{ inner: { learningRate: "x" } }, "CONFIG_BAD_VALUE", "recipe.inner.learningRate", undefined],
    [null, "CONFIG_BAD_VALUE", "recipe", undefined],
  ])("of %j is %s", (value, code, path, hint) => {
    expect(() => validate(schema, value, "recipe")).toThrow(expect.objectContaining({ code, path, hint }));
  });
});

/** Recipes that cannot work are refused before anything is trained. */
import { expect, it } from "vitest";
import { resolveRecipe } from "./resolveRecipe.ts";
import { trainableOf } from "./trainables.ts";

it.each([
  ["xar", { transformer: { entity: "cell", parts: 3 } }, "recipe.transformer.parts"],
  ["flowar", { transformer: { patchNums: [1, 4, 2, 8] } }, "recipe.transformer.patchNums"],
  [
    "var",
    { train: { transformer: { tokenImages: 16, batchSize: 32 } } },
    "recipe.train.transformer.tokenImages",
  ],
  [
    "flowar",
    { train: { transformer: { tokenImages: 16, batchSize: 32 } } },
    "recipe.train.transformer.tokenImages",
  ],
])("%s with %j", (system, overrides, path) => {
  expect(() => resolveRecipe(trainableOf(system), undefined, overrides)).toThrow(
    expect.objectContaining({ code: "CONFIG_BAD_VALUE", path }),
  );
});

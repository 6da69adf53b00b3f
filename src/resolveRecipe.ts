/** A system's recipe with what a user changes in it. */
import { suggestion } from "./formats/suggest.ts";
import { validate } from "./formats/validate.ts";
import { requireBatches } from "./regimen/recipeChecks.ts";
import type { ImageSystem } from "./regimen/system.ts";
import { NextxError } from "./tensor/errors.ts";

/** A tree of values that replaces those of a recipe. */
export interface Overrides {
  readonly [key: string]: unknown;
}

export const isTree = (value: unknown): value is Overrides =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `over` in the place of `base`, key by key where both are trees. */
export function merge(base: unknown, over: unknown): unknown {
  if (!isTree(base) || !isTree(over)) return over === undefined ? base : over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = merge(base[key], value);
  return merged;
}

/** What has recipes. */
export interface Trainable
  extends Pick<ImageSystem, "id" | "title" | "recipes" | "defaultRecipe" | "recipeSchema"> {
  /** Of a parsed recipe, in their order. */
  stages(recipe: unknown): readonly { readonly name: string; readonly steps: number }[];
}

/** A system's recipe, completed. @throws NextxError RECIPE_UNKNOWN, CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE */
export function resolveRecipe(system: Trainable, name = system.defaultRecipe, overrides: Overrides = {}) {
  const entry = Object.hasOwn(system.recipes, name) ? system.recipes[name] : undefined;
  if (entry === undefined) {
    throw new NextxError("RECIPE_UNKNOWN", `${system.id} has no recipe "${name}".`, {
      path: "recipe",
      hint: suggestion(name, Object.keys(system.recipes)),
    });
  }
  const recipe = validate(system.recipeSchema, merge(entry.recipe, overrides), "recipe");
  requireBatches((recipe as { train?: Parameters<typeof requireBatches>[0] }).train ?? {}); // stages by name
  return recipe;
}

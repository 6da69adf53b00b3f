/** Everything that trains from recipes into run folders, whatever it makes. */
import { type SeriesRecipe, seriesRecipeSchema, seriesRecipes } from "./evaluate/forecast/seriesRecipe.ts";
import { suggestion } from "./formats/suggest.ts";
import type { SeriesSystem } from "./regimen/seriesSystem.ts";
import type { Trainable } from "./resolveRecipe.ts";
import { imageSystems, seriesSystems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/** A system that forecasts: all have the same recipes. */
export const seriesTrainable = ({ id, title }: SeriesSystem): Trainable => ({
  ...{ id, title, recipes: seriesRecipes, defaultRecipe: "waves-96", recipeSchema: seriesRecipeSchema(id) },
  stages: (recipe) => [{ name: "forecaster", steps: (recipe as SeriesRecipe).train.forecaster.steps }],
});

/** By id of the system. */
export const trainables: ReadonlyMap<string, Trainable> = new Map<string, Trainable>([
  ...imageSystems,
  ...[...seriesSystems].map(([id, system]) => [id, seriesTrainable(system)] as const),
]);

/** @throws NextxError SYSTEM_UNKNOWN */
export function trainableOf(id: string): Trainable {
  const found = trainables.get(id);
  if (found) return found;
  throw new NextxError("SYSTEM_UNKNOWN", `There is no system "${id}".`, {
    path: "system",
    hint: suggestion(id, [...trainables.keys()]),
  });
}

/** `nextx list`: systems with their recipes, published checkpoints, shipped models, data sets. */
import type { Command } from "commander";
import { imageSets } from "../../data/imageSets.node.ts";
import { seriesSets } from "../../data/series/seriesSets.node.ts";
import { shippedModels } from "../../models.node.ts";
import { imageSystems, seriesSystems } from "../../systems/registry.ts";
import { trainableOf } from "../../trainables.ts";
import type { Context } from "../context.ts";
import { print, printJson } from "../output.ts";

const recipesOf = (
  recipes: Readonly<Record<string, { readonly description: string; readonly expect: string }>>,
) => Object.entries(recipes).map(([name, { description, expect }]) => ({ name, description, expect }));

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command.option("--json", "machine output").action(() => {
    const systems = [...imageSystems.values()].map(({ id, title, source, recipes, official }) => ({
      id,
      title,
      source,
      official: (official?.presets ?? []).map(({ name, description, imageSize, numClasses }) => ({
        name,
        description,
        imageSize,
        numClasses,
      })),
      recipes: recipesOf(recipes),
    }));
    const models = shippedModels().map(({ name, card }) => ({ name, ...card }));
    const data = Object.entries(imageSets).map(([id, { description, licence }]) => ({
      id,
      description,
      licence,
    }));
    const forecasters = [...seriesSystems.values()].map(({ id, title, source }) => ({
      id,
      title,
      source,
      recipes: recipesOf(trainableOf(id).recipes),
    }));
    const series = Object.entries(seriesSets).map(([id, { description, licence }]) => ({
      id,
      description,
      licence,
    }));
    if (json) return printJson({ systems, forecasters, models, data, series });
    print("Systems that make pictures (nextx train ID --recipe NAME):");
    for (const { id, title, source, recipes } of systems) {
      print(`  ${id}  ${title}; ${source}`);
      for (const { name, description } of recipes) print(`    ${name.padEnd(22)} ${description}`);
    }
    print("\nSystems that forecast series (nextx train ID --recipe NAME; nextx forecast FILE --method ID):");
    for (const { id, title, source, recipes } of forecasters) {
      print(`  ${id}  ${title}; ${source}`);
      for (const { name, description } of recipes) print(`    ${name.padEnd(22)} ${description}`);
    }
    print("\nPublished checkpoints that are read (nextx convert TRANSFORMER TOKENIZER OUT):");
    for (const { name, description } of systems.flatMap(({ official }) => official))
      print(`  ${name.padEnd(28)} ${description}`);
    print("\nModels that ship (nextx sample NAME):");
    for (const { name, title, licence } of models) print(`  ${name.padEnd(28)} ${title} (${licence})`);
    print("\nPicture data:");
    for (const { id, description, licence } of data) print(`  ${id.padEnd(28)} ${description} (${licence})`);
    print("\nSeries data (nextx claim, benchmarks):");
    for (const { id, description, licence } of series)
      print(`  ${id.padEnd(28)} ${description} (${licence})`);
  });
}

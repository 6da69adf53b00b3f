/** `nextx list`: systems with their recipes, shipped models, data sets. */
import type { Command } from "commander";
import { imageSets } from "../../data/imageSets.node.ts";
import { shippedModels } from "../../models.node.ts";
import { imageSystems } from "../../systems/registry.ts";
import type { Context } from "../context.ts";
import { print, printJson } from "../output.ts";

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
      recipes: Object.entries(recipes).map(([name, { description, expect }]) => ({
        name,
        description,
        expect,
      })),
    }));
    const models = shippedModels().map(({ name, card }) => ({ name, ...card }));
    const data = Object.entries(imageSets).map(([id, { description, licence }]) => ({
      id,
      description,
      licence,
    }));
    if (json) return printJson({ systems, models, data });
    print("Systems (nextx train ID --recipe NAME):");
    for (const { id, title, source, recipes } of systems) {
      print(`  ${id}  ${title}; ${source}`);
      for (const { name, description } of recipes) print(`    ${name.padEnd(12)} ${description}`);
    }
    print("\nPublished checkpoints that are read (nextx convert TRANSFORMER TOKENIZER OUT):");
    for (const { name, description } of systems.flatMap(({ official }) => official))
      print(`  ${name.padEnd(16)} ${description}`);
    print("\nModels that ship (nextx sample NAME):");
    for (const { name, title, licence } of models) print(`  ${name.padEnd(16)} ${title} (${licence})`);
    print("\nPicture data:");
    for (const { id, description, licence } of data) print(`  ${id.padEnd(16)} ${description} (${licence})`);
  });
}

/** `nextx inspect THING`: what a model, run folder, checkpoint or picture is and holds, and what to do with it. */
import type { Command } from "commander";
import { groupDicts } from "../../formats/dictGroups.ts";
import { type InspectedDict, inspect } from "../../inspect.node.ts";
import type { Context } from "../context.ts";
import { print, printJson } from "../output.ts";

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .argument("<thing>", "shipped model, run folder, checkpoint (.safetensors, .pth, .npz, an index) or PNG")
    .option("--key <path>", "state dict inside a nested .pth")
    .option("--tensors", "every tensor, not only the count")
    .option("--json", "machine output")
    .action(async (thing: string, flags: { key?: string; tensors?: boolean }) => {
      const found = await inspect(thing, flags.key);
      if (json) return printJson(found);
      const { tensors, next, card, ...plain } = found;
      const rest = { ...plain, ...(card !== undefined && { card: withoutCurves(card) }) };
      const dicts = rest.dicts && { dicts: grouped(rest.dicts) };
      print(JSON.stringify({ ...rest, ...dicts }, null, 2));
      if (tensors) {
        const count = tensors.reduce((t, { shape }) => t + shape.reduce((a, b) => a * b, 1), 0);
        print(`${tensors.length} tensors, ${count} numbers`);
        if (flags.tensors)
          for (const { name, dtype, shape } of tensors) print(`  ${name}  ${dtype} [${shape.join(", ")}]`);
      }
      if (next !== undefined) print(`next: ${next}`);
    });
}

/** A card as one reads it: its curves are for machines. */
function withoutCurves(card: unknown): unknown {
  const { stages, ...rest } = card as Readonly<Record<string, unknown>>;
  return Array.isArray(stages) ? { ...rest, stages: `${stages.length}, with curves: --json` } : rest;
}

/** An optimiser's dicts, one for each weight, as one line. */
function grouped(dicts: readonly InspectedDict[]): readonly unknown[] {
  const byKey = new Map(dicts.map((dict) => [dict.key, dict]));
  return groupDicts(dicts.map(({ key, tensors }) => ({ key, tensors }))).map((group) =>
    group.dicts === undefined ? byKey.get(group.key) : group,
  );
}

/** `nextx inspect THING`: what a model, run folder, checkpoint or picture is and holds. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { isPng } from "../../formats/pngChunks.ts";
import { readCheckpoint } from "../../formats/readCheckpoint.node.ts";
import { findModel } from "../../models.node.ts";
import { readPictureRecipe } from "../../picture.node.ts";
import { RunReader } from "../../regimen/runFolderReader.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { readUserFile } from "../files.ts";
import { print, printJson } from "../output.ts";

interface TensorLine {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .argument("<thing>", "shipped model, run folder, .safetensors, .pth or PNG")
    .option("--key <path>", "state dict inside a nested .pth")
    .option("--tensors", "every tensor, not only the count")
    .option("--json", "machine output")
    .action(async (thing: string, flags: { key?: string; tensors?: boolean }) => {
      const found = await look(thing, flags.key);
      if (json) return printJson(found);
      const { tensors, ...rest } = found;
      print(JSON.stringify(rest, null, 2));
      if (tensors === undefined) return;
      const count = tensors.reduce((t, { shape }) => t + shape.reduce((a, b) => a * b, 1), 0);
      print(`${tensors.length} tensors, ${count} numbers`);
      if (flags.tensors)
        for (const { name, dtype, shape } of tensors) print(`  ${name}  ${dtype} [${shape.join(", ")}]`);
    });
}

type Found = Record<string, unknown> & { readonly tensors?: readonly TensorLine[] };

async function look(thing: string, key: string | undefined): Promise<Found> {
  if (existsSync(join(thing, "run.json"))) return lookAtRun(thing);
  if (existsSync(thing) && /\.png$/i.test(thing)) {
    const bytes = readUserFile(thing);
    if (isPng(bytes)) return { kind: "picture", recipe: readPictureRecipe(bytes, thing) };
  }
  try {
    const { description, weights, name, path, sha256, card } = await findModel(thing);
    const tensors = [...weights].map(([tensor, { shape }]) => ({ name: tensor, dtype: "F32", shape }));
    return { kind: "model", name, path, sha256, ...description, card, tensors };
  } catch (error) {
    const isForeign = error instanceof NextxError && existsSync(thing) && error.code !== "MODEL_DAMAGED";
    if (!isForeign) throw error;
    const checkpoint = await readCheckpoint(thing, key === undefined ? {} : { key });
    const tensors = [...checkpoint].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    return { kind: "checkpoint", path: thing, tensors };
  }
}

async function lookAtRun(path: string): Promise<Found> {
  const { config, provenance } = await RunReader.read(path);
  return { kind: "run", path, config, provenance, finished: existsSync(join(path, "model.safetensors")) };
}

/** `nextx inspect THING`: what a model, run folder, checkpoint or picture is and holds, and what to do with it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { recognise } from "../../convert.node.ts";
import { isPng } from "../../formats/pngChunks.ts";
import { openTensors, type TensorFile } from "../../formats/tensorFile.node.ts";
import type { TensorForm } from "../../formats/tensorFile.ts";
import { findModelPlace } from "../../models.node.ts";
import { readPictureRecipe } from "../../picture.ts";
import { RunReader } from "../../regimen/runFolderReader.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { readUserFile } from "../files.ts";
import { print, printJson } from "../output.ts";

interface TensorLine extends TensorForm {
  readonly name: string;
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .argument("<thing>", "shipped model, run folder, checkpoint (.safetensors, .pth, .npz, an index) or PNG")
    .option("--key <path>", "state dict inside a nested .pth")
    .option("--tensors", "every tensor, not only the count")
    .option("--json", "machine output")
    .action(async (thing: string, flags: { key?: string; tensors?: boolean }) => {
      const found = await look(thing, flags.key);
      if (json) return printJson(found);
      const { tensors, next, ...rest } = found;
      print(JSON.stringify(rest, null, 2));
      if (tensors) {
        const count = tensors.reduce((t, { shape }) => t + shape.reduce((a, b) => a * b, 1), 0);
        print(`${tensors.length} tensors, ${count} numbers`);
        if (flags.tensors)
          for (const { name, dtype, shape } of tensors) print(`  ${name}  ${dtype} [${shape.join(", ")}]`);
      }
      if (next !== undefined) print(`next: ${next}`);
    });
}

type Found = Record<string, unknown> & { readonly tensors?: readonly TensorLine[]; readonly next?: string };

async function look(thing: string, key: string | undefined): Promise<Found> {
  if (existsSync(join(thing, "run.json"))) return lookAtRun(thing);
  if (existsSync(thing) && /\.png$/i.test(thing)) {
    const bytes = readUserFile(thing);
    const next = `nextx reproduce ${thing} --out again.png`;
    if (isPng(bytes)) return { kind: "picture", recipe: readPictureRecipe(bytes, thing), next };
  }
  try {
    return await lookAtModel(thing);
  } catch (error) {
    if (!(error instanceof NextxError) || !existsSync(thing)) throw error;
    return lookAtCheckpoint(thing, key);
  }
}

const lines = (tensors: ReadonlyMap<string, TensorForm>): TensorLine[] =>
  [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));

async function lookAtModel(thing: string): Promise<Found> {
  const { description, tensors, ...place } = await findModelPlace(thing);
  const next = `nextx sample ${thing} --out a.png`;
  return { kind: "model", ...place, ...description, tensors: lines(tensors), next };
}

async function lookAtRun(path: string): Promise<Found> {
  const { config, provenance } = await RunReader.read(path);
  const finished = existsSync(join(path, "model.safetensors"));
  const next = finished ? `nextx sample ${path} --out a.png` : `nextx train ${path}`;
  return { kind: "run", path, config, provenance, finished, next };
}

async function lookAtCheckpoint(path: string, key: string | undefined): Promise<Found> {
  await using file = await openTensors(path);
  const { format, sizeBytes, dicts } = file;
  const parts = await recognise(file);
  const base = {
    kind: "checkpoint",
    path: file.path,
    format,
    sizeBytes,
    dicts: dicts.map((dict) => ({ key: dict.key, tensors: dict.tensors.size, others: dict.skipped.length })),
    recognised: parts.map(({ system, part, key: at, section }) => ({
      system,
      part: part.name,
      key: at,
      summary: part.summary(section),
      config: section,
    })),
  };
  const [only] = dicts;
  const shown = key === undefined && dicts.length > 1 ? undefined : key === undefined ? only : file.dict(key);
  return { ...base, ...(shown && { tensors: lines(shown.tensors) }), next: nextStep(file, parts) };
}

function nextStep({ path, dicts }: TensorFile, parts: Awaited<ReturnType<typeof recognise>>): string {
  const names = new Set(parts.map(({ part }) => part.name));
  const [first] = parts;
  if (first === undefined) {
    return dicts.length > 1
      ? "no published model that nextx knows; look into one dict with --key KEY --tensors"
      : "no published model that nextx knows; --tensors lists its tensors";
  }
  const keys = names.size < parts.length ? " --key KEY" : "";
  if (names.has("transformer") && names.has("tokenizer"))
    return `nextx convert ${path}${keys} OUT.safetensors`;
  return names.has("transformer")
    ? `nextx convert ${path} TOKENIZER${keys} OUT.safetensors, with the tokenizer's file`
    : `nextx convert TRANSFORMER ${path}${keys} OUT.safetensors, with the transformer's file`;
}

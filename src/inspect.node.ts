/** What a model, run folder, checkpoint or picture is and holds, and what to do with it. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { recognise } from "./convert.node.ts";
import { openFile } from "./formats/openFile.node.ts";
import { readPngRecipe } from "./formats/png.ts";
import { isPng } from "./formats/pngChunks.ts";
import { shellWord } from "./formats/shellWord.ts";
import { openTensors, type TensorFile } from "./formats/tensorFile.node.ts";
import type { TensorForm } from "./formats/tensorFile.ts";
import { findModelPlace } from "./models.node.ts";
import { readPictureRecipe } from "./picture.ts";
import { RunReader } from "./regimen/runFolderReader.node.ts";
import { isSeriesModel } from "./seriesProgramme.node.ts";
import { imageSystems, systemIn } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

export interface TensorLine extends TensorForm {
  readonly name: string;
}

/** A dict of a checkpoint: how many tensors it holds, and how many entries that are none. */
export interface InspectedDict {
  readonly key: string;
  readonly tensors: number;
  readonly others: number;
}

/** What was found; what else there is depends on `kind`. */
export type Inspected = Record<string, unknown> & {
  readonly kind: "model" | "run" | "checkpoint" | "picture";
  readonly tensors?: readonly TensorLine[];
  readonly dicts?: readonly InspectedDict[];
  /** A command that goes on from here. */
  readonly next?: string;
};

/** Larger pictures are not read for their recipe. */
const maxPictureBytes = 2 ** 28;

/** Codes that say of a thing that it is no model file: it may be a checkpoint in any form. */
const noModel = /^(MODEL_NOT_NEXTX|MODEL_NOT_FOUND|SAFETENSORS_.*)$/;

/**
 * Looks at a thing by name or path; reads structure, not weights. `key` names a state dict inside a nested .pth.
 * @throws NextxError MODEL_NOT_FOUND, MODEL_NEWER_VERSION, MODEL_OTHER_TASK, MODEL_BAD_HEAD, CONFIG_ codes for a model that
 * its system cannot read, and the codes of the readers
 */
export async function inspect(thing: string, key?: string): Promise<Inspected> {
  if (existsSync(join(thing, "run.json"))) return inspectRun(thing);
  if (existsSync(thing) && !isFolder(thing)) {
    await using file = await openFile(thing);
    const start = await file.read(0, Math.min(8, file.sizeBytes));
    if (isPng(start) && file.sizeBytes <= maxPictureBytes) {
      const bytes = await file.read(0, file.sizeBytes);
      return inspectPicture(bytes, thing);
    }
  }
  try {
    return await inspectModel(thing);
  } catch (error) {
    if (!(error instanceof NextxError && noModel.test(error.code)) || !existsSync(thing)) throw error;
    return inspectCheckpoint(thing, key);
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** What a PNG of ours carries: a recipe that can be made again, or whatever else another command wrote. */
function inspectPicture(bytes: Uint8Array, path: string): Inspected {
  const carried = readPngRecipe(bytes, path);
  if (carried.nextx !== "sample") return { kind: "picture", recipe: carried };
  return {
    kind: "picture",
    recipe: readPictureRecipe(bytes, path),
    next: `nextx reproduce ${shellWord(path)} --out again.png`,
  };
}

const lines = (tensors: ReadonlyMap<string, TensorForm>): TensorLine[] =>
  [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));

async function inspectModel(thing: string): Promise<Inspected> {
  const { description, tensors, ...place } = await findModelPlace(thing);
  systemIn(imageSystems, description.system).recipeOf(description); // reads the configuration
  const next = `nextx sample ${shellWord(thing)} --out a.png`;
  return { kind: "model", ...place, ...description, tensors: lines(tensors), next };
}

async function inspectRun(path: string): Promise<Inspected> {
  await (await openFile(join(path, "run.json"))).close(); // a file, and no pipe that would be waited for
  const { config, provenance } = await RunReader.read(path);
  const finished = existsSync(join(path, "model.safetensors"));
  const word = shellWord(path);
  const use = (await isSeriesModel(path)) ? `nextx eval ${word}` : `nextx sample ${word} --out a.png`;
  const next = finished ? use : `nextx train ${word}`;
  return { kind: "run", path, config, provenance, finished, next };
}

async function inspectCheckpoint(path: string, key: string | undefined): Promise<Inspected> {
  await using file = await openTensors(path);
  const { format, sizeBytes, dicts } = file;
  const parts = await recognise(file);
  const [only] = dicts;
  const shown = key === undefined && dicts.length > 1 ? undefined : key === undefined ? only : file.dict(key);
  return {
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
    ...(shown && { tensors: lines(shown.tensors) }),
    next: nextStep(file, parts),
  };
}

function nextStep({ path, dicts }: TensorFile, parts: Awaited<ReturnType<typeof recognise>>): string {
  const names = new Set(parts.map(({ part }) => part.name));
  const places = new Set(parts.map(({ part, key }) => JSON.stringify([part.name, key]))); // systems may share a part
  const [first] = parts;
  if (first === undefined) {
    return dicts.length > 1
      ? "no published model that nextx knows; look into one dict with --key KEY --tensors"
      : "no published model that nextx knows; --tensors lists its tensors";
  }
  const keys = names.size < places.size ? " --key KEY" : "";
  const word = shellWord(path);
  if (names.has("transformer") && names.has("tokenizer"))
    return `nextx convert ${word}${keys} OUT.safetensors`;
  return names.has("transformer")
    ? `nextx convert ${word} TOKENIZER${keys} OUT.safetensors, with the tokenizer's file`
    : `nextx convert TRANSFORMER ${word}${keys} OUT.safetensors, with the transformer's file`;
}

/** Training a system from a recipe into a run folder, and continuing one. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { arch, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import { openImageSet } from "./data/imageSets.node.ts";
import { readWeightFile } from "./data/weightFiles.node.ts";
import { validate } from "./formats/validate.ts";
import { systemOf } from "./model.ts";
import { findModel } from "./models.node.ts";
import { RunReader } from "./regimen/runFolderReader.node.ts";
import type { ImageSystem } from "./regimen/system.ts";
import type { Json } from "./regimen/trainer.ts";
import { type TrainEvent, trainRun } from "./regimen/trainRun.node.ts";
import { isTree, merge, type Overrides, resolveRecipe } from "./resolveRecipe.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { NextxError } from "./tensor/errors.ts";

export interface TrainOptions extends DeviceOptions {
  /** Name of one of the system's recipes; its default one when absent. */
  readonly recipe?: string;
  /** A model of the same system to go on from: its last stage is trained, with the model's own configuration. */
  readonly from?: string;
  /** Values that replace those of the recipe, nested like it. */
  readonly overrides?: Overrides;
  /** The run folder: new, or begun with the same recipe. */
  readonly folder: string;
  /** Folder that holds the data sets; procedural ones need none. */
  readonly dataRoot?: string;
  readonly every?: { readonly checkpoint?: number; readonly observe?: number; readonly log?: number };
  readonly onProgress?: (text: string, done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** Version of nextx, for the run's provenance. */
  readonly version?: string;
}

function machine(): Json {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()}`,
  };
}

/** A model's bytes, and what of a recipe it fixes. @throws NextxError TRAIN_OTHER_SYSTEM, and the codes of findModel */
async function modelToContinue(system: ImageSystem, name: string) {
  const found = await findModel(name);
  if (found.description.system !== system.id) {
    throw new NextxError("TRAIN_OTHER_SYSTEM", `${name} is a model of ${found.description.system}.`, {
      path: "from",
      hint: `nextx train ${found.description.system} --from ${name}`,
    });
  }
  const { sha256 } = found;
  return { name, sha256, bytes: await readFile(found.path), recipe: system.recipeOf(found.description) };
}

/** The recipe of a run folder, or undefined when there is no run. */
async function begunRecipe(folder: string): Promise<Json | undefined> {
  return existsSync(join(folder, "run.json")) ? (await RunReader.read(folder)).config : undefined;
}

/**
 * Trains a system; an existing run is continued, and then recipe and overrides may be left out.
 * @throws NextxError RUN_CONFIG_DIFFERS, TRAIN_NOT_FINITE, and codes of recipes, data and files
 */
export async function* train(systemId: string, options: TrainOptions): AsyncGenerator<TrainEvent> {
  const system = systemOf(systemId);
  const { folder, dataRoot, every = {}, signal, onProgress } = options;
  const begun = await begunRecipe(folder);
  const isGiven = [options.recipe, options.overrides, options.from].some((given) => given !== undefined);
  const from = options.from === undefined ? undefined : await modelToContinue(system, options.from);
  const recipe =
    begun !== undefined && !isGiven
      ? validate(system.recipeSchema, begun, "recipe")
      : resolveRecipe(system, options.recipe, merge(options.overrides ?? {}, from?.recipe) as Overrides); // trees
  const { set, size } = system.data(recipe);
  const device = await openDevice(options);
  yield* trainRun({
    system,
    recipe: recipe as Json & { seed: number }, // every recipe is JSON and has a seed
    folder,
    device,
    openData: (split) => openImageSet(set, { size, split, ...(dataRoot !== undefined && { dataRoot }) }),
    ...(from && { from: from.bytes }),
    readWeights: (path) => readWeightFile(dataRoot, path),
    provenance: {
      version: options.version ?? null,
      recipe: options.recipe ?? system.defaultRecipe,
      ...(from && { from: { name: from.name, sha256: from.sha256 } }),
      runtime: device.runtime,
      node: process.version,
      threads: device.threads,
      machine: machine(),
    },
    every: { checkpoint: every.checkpoint ?? 250, observe: every.observe ?? 500, log: every.log ?? 10 },
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  });
}

/** The system that a run folder trains. @throws NextxError RUN_NOT_FOUND, RUN_BAD_FILE */
export async function systemOfRun(folder: string): Promise<string> {
  const config = await begunRecipe(folder);
  const id = isTree(config) ? config.system : undefined;
  if (typeof id === "string") return id;
  throw new NextxError("RUN_NOT_FOUND", `${folder} is not a run folder.`, { path: folder });
}

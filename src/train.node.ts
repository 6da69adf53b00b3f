/** Training a system from a recipe into a run folder, and continuing one. */
import { existsSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import { openImageSet } from "./data/imageSets.node.ts";
import { readWeightFile } from "./data/weightFiles.node.ts";
import { encodeModel } from "./formats/modelFile.ts";
import { validate } from "./formats/validate.ts";
import { RunReader } from "./regimen/runFolderReader.node.ts";
import type { ImageSystem } from "./regimen/system.ts";
import type { Json } from "./regimen/trainer.ts";
import { type Programme, type TrainEvent, trainRun } from "./regimen/trainRun.node.ts";
import { isTree, merge, type Overrides, resolveRecipe, type Trainable } from "./resolveRecipe.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { seriesProgramme } from "./seriesProgramme.node.ts";
import { imageSystems, seriesSystems, systemIn } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";
import {
  type ContinuedModel,
  modelToContinue,
  openFitting,
  requireOwnClasses,
  requireOwnSize,
} from "./trainFrom.node.ts";

/** What `train` may be told. */
export interface TrainOptions extends DeviceOptions {
  /** Name of one of the system's recipes; its default one when absent. */
  readonly recipe?: string;
  /**
   * A model of the same system to go on from: its last stage is trained, with the model's own configuration, and with the
   * data and schedules that its run or card tells, where overrides say nothing else.
   */
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

/** The recipe of a run folder, or undefined when there is no run. */
async function begunRecipe(folder: string): Promise<Json | undefined> {
  return existsSync(join(folder, "run.json")) ? (await RunReader.read(folder)).config : undefined;
}

/** A programme with what its run's provenance says of where it came from. */
interface Prepared {
  readonly programme: Programme;
  readonly recipeName: string;
  readonly from?: ContinuedModel;
}

/** The recipe of a begun run, or the named one with what is changed in it. */
function chosenRecipe(
  system: Trainable,
  begun: Json | undefined,
  options: TrainOptions,
  { fixed, usual = {} }: Partial<Pick<ContinuedModel, "fixed" | "usual">> = {},
) {
  const { recipe, overrides, from } = options;
  const isGiven = [recipe, overrides, from].some((given) => given !== undefined);
  return begun !== undefined && !isGiven
    ? validate(system.recipeSchema, begun, "recipe")
    : resolveRecipe(system, recipe, merge(merge(usual, overrides), fixed) as Overrides); // trees
}

async function imageProgramme(
  system: ImageSystem,
  begun: Json | undefined,
  options: TrainOptions,
): Promise<Prepared> {
  const { dataRoot } = options;
  const from = options.from === undefined ? undefined : await modelToContinue(system, options.from);
  if (from) requireOwnSize(from, options.overrides);
  const recipe = chosenRecipe(system, begun, options, from);
  const { set, size } = system.data(recipe);
  const data: Programme["data"] = (split) =>
    openImageSet(set, { size, split, ...(dataRoot !== undefined && { dataRoot }) });
  const programme: Programme = {
    recipe: recipe as Json & { seed: number }, // every recipe is JSON and has a seed
    stages: system.stages(recipe),
    data,
    requireData: () => (from ? openFitting(() => data("train"), { set, size }) : data("train")),
    readWeights: (path) => readWeightFile(dataRoot, path),
    encode: async (weights, before) => {
      const description = before?.description ?? system.describe(recipe, await data("train"));
      return encodeModel({ description, weights }, "F16");
    },
    requireFit: async ({ description: { classNames } }) =>
      requireOwnClasses(classNames, await openFitting(() => data("train"), { set, size })),
  };
  return { programme, recipeName: options.recipe ?? system.defaultRecipe, ...(from && { from }) };
}

/**
 * Trains a system; an existing run is continued, and then recipe and overrides may be left out.
 * @throws NextxError RUN_CONFIG_DIFFERS, TRAIN_OTHER_SYSTEM, TRAIN_OTHER_SIZE, TRAIN_OTHER_CLASSES, TRAIN_NOT_FINITE, and
 * codes of recipes, data and files
 */
export async function* train(systemId: string, options: TrainOptions): AsyncGenerator<TrainEvent> {
  const { folder, every = {}, signal, onProgress } = options;
  const begun = await begunRecipe(folder);
  const forecaster = seriesSystems.get(systemId);
  const { programme, recipeName, from } = forecaster
    ? seriesProgramme(forecaster, (system) => chosenRecipe(system, begun, options), options)
    : await imageProgramme(systemIn(imageSystems, systemId), begun, options);
  const device = await openDevice(options);
  yield* trainRun({
    programme,
    folder,
    device,
    ...(from && { from: from.bytes }),
    provenance: {
      version: options.version ?? null,
      recipe: recipeName,
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

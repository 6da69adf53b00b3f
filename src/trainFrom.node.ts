/** The model that a training goes on from: what of a recipe it fixes, what is known of its making, which data fit it. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isImageSetId } from "./data/imageSets.node.ts";
import type { ImageSet } from "./data/types.ts";
import { shellWord } from "./formats/shellWord.ts";
import type { FoundModel } from "./modelCard.ts";
import { findModel } from "./models.node.ts";
import { RunReader } from "./regimen/runFolderReader.node.ts";
import type { ImageSystem } from "./regimen/system.ts";
import { isTree, merge, type Overrides, resolveRecipe } from "./resolveRecipe.ts";
import { imageSystems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/** A model to go on from, with its file's bytes. */
export interface ContinuedModel {
  readonly name: string;
  readonly sha256: string;
  readonly bytes: Uint8Array;
  readonly classNames: readonly string[];
  readonly imageSize: number;
  /** Parts of a recipe that cannot be changed. */
  readonly fixed: Overrides;
  /** Parts that go on as they were, unless asked otherwise: data and schedules. */
  readonly usual: Overrides;
}

/** What of the recipe that made a model goes on when it is trained further. */
const carried = ["data", "schedules"] as const;

/** The parts that go on, as the model's run or card tells them. Errors: those of run folders. */
async function toldParts({ path, card, description }: FoundModel): Promise<Overrides> {
  const folder = dirname(path);
  const isRun = existsSync(join(folder, "run.json"));
  const recipe = isRun ? (await RunReader.read(folder)).config : card?.recipe;
  const told: Overrides = isTree(recipe) && recipe.system === description.system ? recipe : {};
  const parts = carried.filter((key) => isTree(told[key])).map((key) => [key, told[key]] as const);
  const set = card && isImageSetId(card.data) ? { data: { set: card.data } } : {};
  return merge(set, Object.fromEntries(parts)) as Overrides; // two trees
}

/** Whether a system's programme ends with refinement, with what is changed in its default recipe. */
function refines(system: ImageSystem, overrides: Overrides = {}): boolean {
  try {
    return system.stages(resolveRecipe(system, undefined, overrides)).at(-1)?.name === "refine";
  } catch {
    return false; // its recipes know no such stage
  }
}

/** The command for a model of another system; one that refines where refining was asked for. */
function commandFor(asked: ImageSystem, { name, description: { system: id } }: FoundModel): string {
  const plain = `nextx train ${id} --from ${shellWord(name)}`;
  const method = "sar-paper";
  const own = imageSystems.get(id);
  const both = refines(asked) && own !== undefined && refines(own, { train: { refine: { method } } });
  return both ? `${plain} --train-refine-method ${method}` : plain;
}

/** Finds a model and what of a recipe it gives. @throws NextxError TRAIN_OTHER_SYSTEM, and the codes of findModel */
export async function modelToContinue(system: ImageSystem, name: string): Promise<ContinuedModel> {
  const found = await findModel(name);
  const { sha256, path, description } = found;
  const { classNames, imageSize } = description;
  if (description.system !== system.id) {
    throw new NextxError("TRAIN_OTHER_SYSTEM", `${name} is a model of ${description.system}.`, {
      path: "from",
      hint: commandFor(system, found),
    });
  }
  const known = merge(await toldParts(found), { data: { size: imageSize } });
  return {
    ...{ name, sha256, classNames, imageSize, bytes: await readFile(path) },
    fixed: system.recipeOf(description),
    usual: merge(system.usualRecipe?.(description) ?? {}, known) as Overrides, // trees
  };
}

/** @throws NextxError TRAIN_OTHER_SIZE where another size is asked for than the model's pictures have */
export function requireOwnSize({ name, imageSize }: ContinuedModel, overrides: Overrides = {}): void {
  const size = isTree(overrides.data) ? overrides.data.size : undefined;
  if (size === undefined || size === imageSize) return;
  throw new NextxError("TRAIN_OTHER_SIZE", `${name} makes pictures of ${imageSize} px, not of ${size}.`, {
    path: "data.size",
    hint: `Leave --data-size out: training goes on at ${imageSize} px.`,
  });
}

const dataFlags =
  "--data-set ID (with --data FOLDER where it is read from files), --data-set folder --data FOLDER for your own pictures, or --recipe NAME";

/** Opens the data of a training that goes on. @throws NextxError TRAIN_OTHER_SIZE where the set has no such size */
export async function openFitting(
  open: () => Promise<ImageSet>,
  { set, size }: { readonly set: string; readonly size: number },
): Promise<ImageSet> {
  try {
    return await open();
  } catch (cause) {
    if (!(cause instanceof NextxError) || cause.code !== "DATA_BAD_SIZE") throw cause;
    throw new NextxError("TRAIN_OTHER_SIZE", `The model makes pictures of ${size} px: ${cause.message}`, {
      ...{ path: "data.set", cause },
      hint: `${set} has none of that size. Name data that does: ${dataFlags}.`,
    });
  }
}

/** At most 20 names of a list. */
function someOf(names: readonly string[]): string {
  const rest = names.length - 20;
  return rest > 1 ? `${names.slice(0, 20).join(", ")} and ${rest} more` : names.join(", ");
}

/** @throws NextxError TRAIN_OTHER_CLASSES */
export function requireOwnClasses(wants: readonly string[], { id, classNames }: ImageSet): void {
  if (String(classNames) === String(wants)) return;
  throw new NextxError("TRAIN_OTHER_CLASSES", `${id} has other classes than the model.`, {
    path: "data.set",
    hint: `The model knows ${someOf(wants)}. Name its data: ${dataFlags}.`,
  });
}

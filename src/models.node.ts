/** Which models there are and where: shipped ones by name, run folders, files. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "./environment.node.ts";
import { fileError } from "./formats/durableLayer.node.ts";
import { fileSha256 } from "./formats/fileHash.node.ts";
import { type FileKind, fileKind, kindBytes } from "./formats/fileKind.ts";
import { FileValue } from "./formats/fileValue.node.ts";
import { type HostTensor, isFloat, tensorBytes, toFloat32 } from "./formats/hostTensor.ts";
import {
  describedModel,
  type ModelFile,
  type ModelFileDescription,
  type Quantisation,
} from "./formats/modelFile.ts";
import { openFile } from "./formats/openFile.node.ts";
import { toWeights } from "./formats/quantisedTensors.ts";
import { openSafetensors, type SafetensorsFile } from "./formats/safetensors.node.ts";
import { shellWord } from "./formats/shellWord.ts";
import { suggestion } from "./formats/suggest.ts";
import type { TensorForm } from "./formats/tensorFile.ts";
import { type FoundModel, type ModelCard, type ShippedCard, shippedCardSchema } from "./modelCard.ts";
import { modelFileName } from "./regimen/trainRun.node.ts";
import { imageSystems, systems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/** A model that ships with nextx. */
export interface ShippedModel {
  readonly name: string;
  readonly path: string;
  readonly card: ShippedCard;
}

/** The folder of this package. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new NextxError("MODEL_NO_PACKAGE", "nextx is not inside its package.");
    folder = parent;
  }
  return folder;
}

/** Models that ship with nextx, by name. */
export function shippedModels(root = join(packageRoot(), "models")): readonly ShippedModel[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort()
    .filter((name) => existsSync(join(root, name, "card.json")))
    .map((name) => ({
      name,
      path: join(root, name, modelFileName),
      card: shippedCardSchema.parse(JSON.parse(readFileSync(join(root, name, "card.json"), "utf8"))),
    }));
}

function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch (cause) {
    throw fileError(cause, path, "read"); // a loop of links, a name too long, a folder that may not be searched
  }
}

/**
 * What a system's id means: the model of its default recipe, under the system's own name before others. Bases only carry
 * its format: FlexVAR's are models of SAR's system.
 */
function ofSystem(shipped: readonly ShippedModel[], id: string): ShippedModel | undefined {
  const models = shipped.filter(({ card }) => card.system === id);
  const recipe = imageSystems.get(id)?.defaultRecipe ?? "";
  const named = (name: string) => models.find((model) => model.name === name);
  return (
    named(`${id}-${recipe}`) ??
    named(recipe) ??
    models.find(({ name }) => name.startsWith(`${id}-`)) ??
    models[0]
  );
}

/** Whether a word leads to something that may be a model. */
export const isModelName = (word: string): boolean =>
  imageSystems.has(word) || shippedModels().some(({ name }) => name === word) || existsSync(word);

/** Where a name leads: a shipped model, a system id (its first shipped model), a run folder, or a file. */
function locate(name: string): { path: string; shipped?: ShippedModel } {
  const shipped = shippedModels();
  const found =
    shipped.find((model) => model.name === name) ??
    (imageSystems.has(name) ? ofSystem(shipped, name) : undefined);
  if (found) return { path: found.path, shipped: found };
  if (isFolder(name)) {
    const path = join(name, modelFileName);
    if (existsSync(path)) return { path };
    const isRun = existsSync(join(name, "run.json"));
    throw new NextxError("MODEL_NOT_FOUND", `${name} holds no ${modelFileName}.`, {
      path: name,
      hint: isRun ? "The run is not finished: resume it with `nextx train`." : "Name a run folder or a file.",
    });
  }
  if (existsSync(name)) return { path: name };
  throw unknownModel(name, shipped);
}

/** For a name that leads nowhere; a system's id does when none of its models ships. */
function unknownModel(name: string, shipped: readonly ShippedModel[]): NextxError {
  const system = systems.get(name);
  if (system && !imageSystems.has(name)) {
    return new NextxError("MODEL_NOT_FOUND", `${system.title} makes no pictures: it forecasts series.`, {
      path: name,
      hint: `nextx forecast FILE --method ${name}, or nextx train ${name} and nextx eval RUN.`,
    });
  }
  if (system) {
    return new NextxError("MODEL_NOT_FOUND", `No model of ${system.title} ships with nextx.`, {
      path: name,
      hint: `Train one, nextx train ${name}, and name its run folder.`,
    });
  }
  return new NextxError("MODEL_NOT_FOUND", `There is no model, run folder or file "${name}".`, {
    path: name,
    hint: suggestion(name, [...shipped.map((model) => model.name), ...imageSystems.keys()]),
  });
}

/** The file behind links, as hub caches use them. @throws NextxError MODEL_UNREADABLE */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new NextxError("MODEL_UNREADABLE", `${path} cannot be read.`, { path, cause });
  }
}

async function kindOf(path: string): Promise<FileKind> {
  await using file = await openFile(path);
  return fileKind(await file.read(0, Math.min(kindBytes, file.sizeBytes)));
}

/** Opens a model's file; of another kind of file it says what that is. @throws NextxError MODEL_NOT_NEXTX, as openSafetensors */
async function openModelFile(path: string): Promise<SafetensorsFile> {
  const real = realPath(path);
  try {
    return await openSafetensors(real);
  } catch (cause) {
    if (!(cause instanceof NextxError && cause.code.startsWith("SAFETENSORS_"))) throw cause;
    const { kind, words, hint } = await kindOf(real);
    if (kind === "safetensors" || (kind === "other" && words.startsWith("of an unknown"))) throw cause; // a damaged one
    const isCheckpoint = kind === "zip" || kind === "pickle";
    throw new NextxError("MODEL_NOT_NEXTX", `${path} is ${words}, not a model of nextx.`, {
      path,
      hint: isCheckpoint
        ? `If it is a published checkpoint: nextx convert ${shellWord(path)} OUT.safetensors (nextx inspect says what it is).`
        : (hint ?? "Name a shipped model, a run folder or a .safetensors file of nextx."),
      cause,
    });
  }
}

/** A model's file without its weights. */
export interface ModelPlace {
  /** Shipped name, or the path as given. */
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly description: ModelFileDescription;
  readonly tensors: ReadonlyMap<string, TensorForm>;
  readonly card: ModelCard | undefined;
  /** Of files that `nextx quantize` wrote. */
  readonly quantisation?: Quantisation;
}

/**
 * Finds a model and reads what it says about itself, not its weights.
 * @throws NextxError MODEL_NOT_FOUND, MODEL_UNREADABLE, and the codes of openSafetensors and describedModel
 */
export async function findModelPlace(name: string): Promise<ModelPlace> {
  const { path, shipped } = locate(name);
  await using file = await openModelFile(path);
  const { sizeBytes, tensors } = file;
  const { description, notes } = describedModel(file.metadata, path);
  const { quantisation } = notes;
  const found = { name: shipped?.name ?? name, path, sizeBytes, description, tensors };
  return { ...found, card: shipped?.card ?? notes.card, ...(quantisation && { quantisation }) };
}

/**
 * Reads a model by shipped name, system id, run folder or file, tensor by tensor, so that files above 2 GiB work.
 * @throws NextxError MODEL_NOT_FOUND, MODEL_UNREADABLE, MODEL_DAMAGED, and the codes of openSafetensors and describedModel
 */
export async function findModel(name: string): Promise<FoundModel> {
  const { path, shipped } = locate(name);
  const { description, weights, sha256, card } = await readModel(path);
  if (shipped && shipped.card.sha256 !== sha256) {
    throw new NextxError("MODEL_DAMAGED", `${path} is not the file that its card describes.`, {
      path,
      hint: "Install nextx again, or restore the file with git.",
    });
  }
  const found = { description, weights, name: shipped?.name ?? name, path, sha256 };
  return { ...found, card: shipped?.card ?? card, recipeName: shipped?.name ?? basename(resolve(name)) };
}

/** Floats as programs take them, what a file holds in half is let go at once; the others as they are. */
const readable = (tensor: HostTensor): HostTensor =>
  isFloat(tensor.dtype) ? { dtype: "F32", shape: tensor.shape, data: toFloat32(tensor) } : tensor;

/** Files above this keep their weights on disk. */
const largeFile = 2 ** 26;

/** Whether a tensor is left in its file: floats, and not the scale of another one. */
const staysInFile = (file: SafetensorsFile, name: string): boolean =>
  FileValue.fits(file, name) && !name.includes(":");

/** A model whose float weights stay on disk. */
async function readLarge(path: string, file: SafetensorsFile) {
  const sha256 = await fileSha256(file.path, join(cacheFolder(), "hashes"));
  const tensors = new Map<string, HostTensor>();
  const outside = new Map<string, FileValue>();
  for (const name of file.tensors.keys()) {
    if (staysInFile(file, name)) outside.set(name, new FileValue(file, name));
    else tensors.set(name, readable(await file.read(name)));
  }
  const { description, notes } = describedModel(file.metadata, path);
  return { description, weights: new Map([...toWeights(tensors), ...outside]), sha256, card: notes.card };
}

/** Header and tensors are the whole file, in the order of their bytes: hashing them hashes the file. */
async function readModel(
  path: string,
): Promise<ModelFile & { readonly sha256: string; readonly card: ModelCard | undefined }> {
  await using file = await openModelFile(path);
  if (file.sizeBytes > largeFile) return await readLarge(path, file); // the file is open until then
  const { description, notes } = describedModel(file.metadata, path);
  const hash = createHash("sha256");
  {
    await using head = await openFile(realPath(path));
    const end = Math.min(...[...file.tensors.values()].map(({ offset }) => offset), file.sizeBytes);
    hash.update(await head.read(0, end));
  }
  const tensors = new Map<string, HostTensor>();
  for (const name of file.tensors.keys()) {
    const tensor = await file.read(name);
    hash.update(tensorBytes(tensor));
    tensors.set(name, readable(tensor));
  }
  return { description, weights: toWeights(tensors), sha256: hash.digest("hex"), card: notes.card };
}

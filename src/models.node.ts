/** Which models there are and where: shipped ones by name, run folders, files. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { sha256Hex } from "./formats/durable.node.ts";
import { decodeModel, type ModelFile } from "./formats/modelFile.ts";
import { suggestion } from "./formats/suggest.ts";
import { modelFileName } from "./regimen/trainRun.node.ts";
import { imageSystems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/** What a shipped model's card says. */
const cardSchema = z.looseObject({
  title: z.string(),
  system: z.string(),
  licence: z.string(),
  data: z.string(),
  sha256: z.string(),
  /** Sampling options that suit the model. */
  sampling: z.record(z.string(), z.unknown()).default({}),
});
export type ModelCard = z.infer<typeof cardSchema>;

/** A model that ships with nextx. */
export interface ShippedModel {
  readonly name: string;
  readonly path: string;
  readonly card: ModelCard;
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
      card: cardSchema.parse(JSON.parse(readFileSync(join(root, name, "card.json"), "utf8"))),
    }));
}

/** A model that was found, with its bytes' hash. */
export interface FoundModel extends ModelFile {
  /** Shipped name, or the path as given. */
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  readonly card: ModelCard | undefined;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Where a name leads: a shipped model, a system id (its first shipped model), a run folder, or a file. */
function locate(name: string): { path: string; shipped?: ShippedModel } {
  const shipped = shippedModels();
  const found =
    shipped.find((model) => model.name === name) ??
    (imageSystems.has(name) ? shipped.find((model) => model.card.system === name) : undefined);
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
  throw new NextxError("MODEL_NOT_FOUND", `There is no model, run folder or file "${name}".`, {
    path: name,
    hint: suggestion(name, [...shipped.map((model) => model.name), ...imageSystems.keys()]),
  });
}

/**
 * Reads a model by shipped name, system id, run folder or file.
 * @throws NextxError MODEL_NOT_FOUND, MODEL_DAMAGED, and the codes of decodeModel
 */
export async function findModel(name: string): Promise<FoundModel> {
  const { path, shipped } = locate(name);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new NextxError("MODEL_UNREADABLE", `${path} cannot be read.`, { path, cause });
  });
  const sha256 = sha256Hex(bytes);
  if (shipped && shipped.card.sha256 !== sha256) {
    throw new NextxError("MODEL_DAMAGED", `${path} is not the file that its card describes.`, {
      path,
      hint: "Install nextx again, or restore the file with git.",
    });
  }
  return { ...decodeModel(bytes, path), name: shipped?.name ?? name, path, sha256, card: shipped?.card };
}

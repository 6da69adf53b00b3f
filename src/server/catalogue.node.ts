/** Models that clients may name: shipped ones, those named on the command line, finished runs, files. Clients see ids only. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { suggestion } from "../formats/suggest.ts";
import { findModelPlace, shippedModels } from "../models.node.ts";
import { modelFileName } from "../regimen/trainRun.node.ts";
import type { SampleSubject } from "../sampleRecipe.ts";
import { storyModels } from "../storyModels.ts";
import { imageSystems } from "../systems/registry.ts";
import { NextxError } from "../tensor/errors.ts";
import type { ModelInfo } from "./protocol.ts";

export interface CatalogueEntry {
  readonly info: ModelInfo;
  /** What `load` takes. */
  readonly name: string;
  /** Its file. */
  readonly path: string;
  readonly subject: SampleSubject;
  /** Tokens of one picture with these settings. */
  tokens(settings: Readonly<Record<string, unknown>>): number;
}

export interface CatalogueOptions {
  /** Models by name, folder or file, besides those that ship. */
  readonly models?: readonly string[];
  /** Folder whose finished runs are models, too. */
  readonly runs?: string;
  /** Folder of files that clients brought and that work made: the models among them are there, too. */
  readonly files?: string;
}

/** Where a model's pictures lie when it ships with them. */
export const samplesBeside = (path: string): string => join(dirname(path), "samples.png");

/** Runs are looked for again after this long. */
const refreshMs = 5000;
/** And not sooner than this after they were, however many unknown models are asked for. */
const soonestMs = 500;

/** SHA-256 of a file, whatever its size. */
async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path)) hash.update(part as Uint8Array); // no encoding is set
  return hash.digest("hex");
}

async function describe(name: string, id: string): Promise<CatalogueEntry | undefined> {
  const { description, card, path, sizeBytes, name: found } = await findModelPlace(name);
  const system = imageSystems.get(description.system);
  if (system === undefined) return undefined; // of another kind of task
  try {
    system.recipeOf(description);
  } catch (cause) {
    throw new NextxError("MODEL_BAD_CONFIG", `${basename(path)} does not describe a model of ${system.id}.`, {
      path: name,
      cause,
    });
  }
  const sha256 = await hashOf(path);
  const sampling = card?.sampling ?? {};
  return {
    name,
    path,
    subject: {
      name: basename(resolve(found)),
      sha256,
      system,
      classNames: description.classNames,
      sampling,
    },
    tokens: (settings) =>
      system.tokensPerPicture?.(description, settings) ?? (description.imageSize / 4) ** 2,
    info: {
      id,
      object: "model",
      created: 0,
      owned_by: "nextx",
      title: card?.title ?? id,
      system: system.id,
      systemTitle: system.title,
      sha256,
      sizeBytes,
      imageSize: description.imageSize,
      classNames: [...description.classNames],
      licence: card?.licence ?? null,
      data: card?.data ?? null,
      defaults: system.samplingSchema.parse(sampling),
      scaleWise: system.scaleWise !== undefined,
      hasSamples: existsSync(samplesBeside(path)),
      settings: z.toJSONSchema(system.samplingSchema, { io: "input" }),
    },
  };
}

export class Catalogue {
  readonly #options: CatalogueOptions;
  readonly #entries = new Map<string, CatalogueEntry>();
  /** Time and size of models that were looked at, by id. */
  readonly #seen = new Map<string, string>();
  /** Models that ship, and those named on the command line. */
  readonly #named: Candidate[] = [];
  #refreshedMs = Number.NEGATIVE_INFINITY;
  /** The last look at the files: who asks meanwhile waits for it. */
  #refreshed: Promise<void> = Promise.resolve();

  private constructor(options: CatalogueOptions) {
    this.#options = options;
  }

  /**
   * Models that were named come first, then SAR's: pages begin with the first one.
   * @throws NextxError MODEL_ and CHECKPOINT_ codes for models that were named
   */
  static async open(options: CatalogueOptions = {}): Promise<Catalogue> {
    const catalogue = new Catalogue(options);
    for (const name of options.models ?? [])
      await catalogue.#name(name, basename(resolve(name)).replace(/\.safetensors$/, ""));
    const isLead = (name: string) => Number(name === storyModels.refined);
    for (const { name } of shippedModels().toSorted((a, b) => isLead(b.name) - isLead(a.name)))
      if (!catalogue.#entries.has(name)) await catalogue.#name(name, name);
    await catalogue.#refresh();
    return catalogue;
  }

  async list(): Promise<readonly CatalogueEntry[]> {
    await this.#refresh();
    return [...this.#entries.values()];
  }

  /** @throws NextxError MODEL_NOT_FOUND */
  get(id: string): CatalogueEntry {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    throw new NextxError("MODEL_NOT_FOUND", `There is no model "${id}".`, {
      path: "model",
      hint: suggestion(id, [...this.#entries.keys()]),
    });
  }

  /** Looks at the files again for a model that is not known, or whose file is another than before. */
  async look(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry && this.#seen.get(id) === stampOf(entry.path)) return;
    await this.#refresh(soonestMs);
  }

  /** A model, also one that just came. @throws NextxError MODEL_NOT_FOUND */
  async find(id: string): Promise<CatalogueEntry> {
    await this.look(id);
    return this.get(id);
  }

  /** The model that made a picture. */
  bySha256(sha256: string): CatalogueEntry | undefined {
    return [...this.#entries.values()].find(({ info }) => info.sha256 === sha256);
  }

  /** A model that stays, whatever runs and files come and go. */
  async #name(name: string, id: string): Promise<void> {
    await this.#add(name, id);
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#named.push({ id, name, path: entry.path });
    this.#seen.set(id, stampOf(entry.path) ?? "");
  }

  async #add(name: string, id: string): Promise<void> {
    const entry = await describe(name, id);
    if (entry) this.#entries.set(id, entry);
  }

  #refresh(afterMs = refreshMs): Promise<void> {
    if (performance.now() - this.#refreshedMs < afterMs) return this.#refreshed;
    this.#refreshedMs = performance.now();
    this.#refreshed = this.#read();
    return this.#refreshed;
  }

  async #read(): Promise<void> {
    const there = [...this.#named, ...modelsOfRuns(this.#options.runs), ...modelFiles(this.#options.files)];
    const ids = new Set(there.map(({ id }) => id));
    for (const id of this.#seen.keys()) {
      if (ids.has(id)) continue;
      this.#seen.delete(id);
      this.#entries.delete(id);
    }
    for (const { id, name, path } of there) {
      const stamp = stampOf(path);
      if (stamp === undefined || this.#seen.get(id) === stamp) continue;
      this.#seen.set(id, stamp);
      await this.#add(name, id).catch(() => undefined); // a damaged one is no reason not to serve the rest
    }
  }
}

/** What tells that a file is another; undefined where there is none. */
function stampOf(path: string): string | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  return file && `${file.mtimeMs} ${file.size}`;
}

interface Candidate {
  readonly id: string;
  /** What `load` takes. */
  readonly name: string;
  readonly path: string;
}

const modelsOfRuns = (folder: string | undefined): Candidate[] =>
  foldersIn(folder).map((run) => {
    const name = join(folder ?? "", run);
    return { id: `run:${run}`, name, path: join(name, modelFileName) };
  });

/** Files that may be models, by the ids that clients know them by. */
const modelFiles = (folder: string | undefined): Candidate[] =>
  foldersIn(folder).flatMap((id) =>
    readdirSync(join(folder ?? "", id))
      .filter((name) => name.endsWith(".safetensors"))
      .map((name) => join(folder ?? "", id, name))
      .map((path) => ({ id: `file:${id}`, name: path, path })),
  );

function foldersIn(folder: string | undefined): string[] {
  if (folder === undefined) return [];
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name)
      .sort();
  } catch {
    return []; // nothing yet
  }
}

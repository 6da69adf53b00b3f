/** Models that clients may name: shipped ones, those named on the command line, finished runs. Clients see ids only. */
import { readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { suggestion } from "../formats/suggest.ts";
import { findModel, shippedModels } from "../models.node.ts";
import { modelFileName } from "../regimen/trainRun.node.ts";
import type { SampleSubject } from "../sampleRecipe.ts";
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
}

/** Runs are looked for again after this long. */
const refreshMs = 5000;

async function describe(name: string, id: string): Promise<CatalogueEntry | undefined> {
  const { description, sha256, card, path } = await findModel(name);
  const system = imageSystems.get(description.system);
  if (system === undefined) return undefined; // of another kind of task
  const sampling = card?.sampling ?? {};
  return {
    name,
    path,
    subject: {
      name: card ? name : basename(resolve(name)),
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
      sizeBytes: statSync(path).size,
      imageSize: description.imageSize,
      classNames: [...description.classNames],
      licence: card?.licence ?? null,
      data: card?.data ?? null,
      defaults: system.samplingSchema.parse(sampling),
      scaleWise: system.scaleWise !== undefined,
      settings: z.toJSONSchema(system.samplingSchema, { io: "input" }),
    },
  };
}

export class Catalogue {
  readonly #options: CatalogueOptions;
  readonly #entries = new Map<string, CatalogueEntry>();
  /** Path, time and size of run models that were looked at. */
  readonly #seen = new Map<string, string>();
  #refreshedMs = Number.NEGATIVE_INFINITY;

  private constructor(options: CatalogueOptions) {
    this.#options = options;
  }

  /** @throws NextxError MODEL_ and CHECKPOINT_ codes for models that were named */
  static async open(options: CatalogueOptions = {}): Promise<Catalogue> {
    const catalogue = new Catalogue(options);
    for (const { name } of shippedModels()) await catalogue.#add(name, name);
    for (const name of options.models ?? [])
      await catalogue.#add(name, basename(resolve(name)).replace(/\.safetensors$/, ""));
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

  /** The model that made a picture. */
  bySha256(sha256: string): CatalogueEntry | undefined {
    return [...this.#entries.values()].find(({ info }) => info.sha256 === sha256);
  }

  async #add(name: string, id: string): Promise<void> {
    const entry = await describe(name, id);
    if (entry) this.#entries.set(id, entry);
  }

  async #refresh(): Promise<void> {
    const { runs } = this.#options;
    if (runs === undefined || performance.now() - this.#refreshedMs < refreshMs) return;
    this.#refreshedMs = performance.now();
    for (const run of foldersIn(runs)) {
      const folder = join(runs, run);
      const file = statSync(join(folder, modelFileName), { throwIfNoEntry: false });
      const stamp = file && `${file.mtimeMs} ${file.size}`;
      if (stamp === undefined || this.#seen.get(folder) === stamp) continue;
      this.#seen.set(folder, stamp);
      await this.#add(folder, `run:${run}`).catch(() => undefined); // a damaged run is no reason not to serve the rest
    }
  }
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch {
    return []; // no runs yet
  }
}

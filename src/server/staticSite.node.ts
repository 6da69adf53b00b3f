/** `nextx studio build`: the studio as files for any static host, with models, the runtime and the catalogue beside it. */
import { existsSync, readdirSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { sha256Hex, temporaryName } from "../formats/durable.node.ts";
import { suggestion } from "../formats/suggest.ts";
import { modelFileName } from "../regimen/trainRun.node.ts";
import { runtimeFiles } from "../runtime/runtimeFiles.ts";
import { NextxError } from "../tensor/errors.ts";
import { ArenaShelf } from "./arena.node.ts";
import { Catalogue, type CatalogueEntry } from "./catalogue.node.ts";
import { maxPageModelBytes } from "./limits.ts";
import { recordedDynamics } from "./recordedDynamics.node.ts";
import { readRuntimeFile, runtimeFileNames } from "./runtimeFiles.node.ts";
import { readStaticFiles, typeOf } from "./staticFiles.node.ts";
import { listSystems } from "./systems.node.ts";

export interface SiteOptions {
  /** Folder to make. */
  readonly folder: string;
  /** The built studio. */
  readonly studio: string;
  /** Ids of shipped models; all that fit when absent. */
  readonly models?: readonly string[];
  /** Replace a site that is there. */
  readonly force?: boolean;
}

export interface SiteReport {
  readonly folder: string;
  readonly files: number;
  readonly sizeBytes: number;
  /** Fetched at the first visit. */
  readonly coreBytes: number;
  readonly models: readonly string[];
}

/** What is in the site besides the service worker; also how a folder is known to be one. */
const listFile = "site.json";
const serviceWorker = "sw.js";

/** As `nextx serve` sends it, but for what a page cannot say about itself. Nothing leaves the site. */
const contentPolicy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; " +
  "connect-src 'self' blob:; worker-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'";

interface SiteFile {
  readonly path: string;
  readonly type: string;
  readonly sha256: string;
  readonly core: boolean;
}

/**
 * Writes the site beside its place and moves it there when it is whole.
 * @throws NextxError STUDIO_NOT_BUILT, SITE_FOLDER_IN_USE, MODEL_NOT_FOUND, OPTIONAL_DEPENDENCY_MISSING, FILE_ codes
 */
export async function buildSite(options: SiteOptions): Promise<SiteReport> {
  const folder = resolve(options.folder);
  requireFree(folder, options.force === true);
  const pages = readStaticFiles(options.studio);
  if (pages === undefined || !pages.has(`/${serviceWorker}`)) {
    throw new NextxError("STUDIO_NOT_BUILT", "The studio is not built.", {
      path: options.studio,
      hint: "In a checkout: node scripts/run.js build",
    });
  }
  const entries = await chooseModels(options.models);
  const temporary = temporaryName(folder);
  const site = new SiteWriter(temporary);
  try {
    for (const [path, { bytes }] of pages) {
      if (path === `/${serviceWorker}`) continue;
      await site.write(path.slice(1), path === "/index.html" ? staticPage(bytes) : bytes, true);
    }
    const infos = entries.map(({ info }) => info);
    await site.write("data/models.json", JSON.stringify(infos), true);
    await site.write("data/systems.json", JSON.stringify(await listSystems()), true);
    await site.write("data/dynamics.json", JSON.stringify((await recordedDynamics()) ?? null), true);
    const arena = new ArenaShelf();
    const contests = await arena.read();
    await site.write("data/arena.json", JSON.stringify(contests), true);
    for (const { name } of contests.image?.entries ?? [])
      await site.write(`data/arena-${name}.png`, await arena.pictures(name), false);
    const everywhere: readonly string[] = runtimeFiles.wasm;
    for (const name of runtimeFileNames) {
      const file = await readRuntimeFile(name);
      if (file) await site.write(`runtime/${name}`, file.bytes, everywhere.includes(name));
    }
    for (const [i, { info, path }] of entries.entries()) {
      await site.copy(`models/${info.id}/${modelFileName}`, path, i === 0);
      await site.copy(`models/${info.id}/card.json`, join(dirname(path), "card.json"), i === 0);
    }
    const code = pages.get(`/${serviceWorker}`)?.bytes ?? new Uint8Array();
    const given = { nextxFiles: site.files, nextxPolicy: contentPolicy };
    const list = `Object.assign(self, ${JSON.stringify(given)});\n`;
    await writeFile(join(temporary, serviceWorker), list + new TextDecoder().decode(code));
    await writeFile(
      join(temporary, listFile),
      `${JSON.stringify({ format: "nextx-site", files: site.files })}\n`,
    );
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  const { files, sizeBytes, coreBytes } = site;
  return {
    folder,
    files: files.length + 2,
    sizeBytes,
    coreBytes,
    models: entries.map(({ info }) => info.id),
  };
}

/** A folder that is not a site is never replaced. */
function requireFree(folder: string, force: boolean): void {
  if (!existsSync(folder)) return;
  const names = readdirSync(folder);
  if (names.length === 0) return;
  const isSite = names.includes(listFile) && names.includes(serviceWorker);
  if (isSite && force) return;
  throw new NextxError("SITE_FOLDER_IN_USE", `${folder} is not empty.`, {
    path: folder,
    hint: isSite ? "Replace the site that is there: --force." : "Name a new folder.",
  });
}

/** The first one is kept with the page. */
async function chooseModels(wanted: readonly string[] | undefined): Promise<readonly CatalogueEntry[]> {
  const all = (await (await Catalogue.open()).list()).filter(
    ({ info }) => info.sizeBytes <= maxPageModelBytes,
  );
  if (wanted === undefined) return all;
  return wanted.map((id) => {
    const entry = all.find(({ info }) => info.id === id);
    if (entry) return entry;
    throw new NextxError("MODEL_NOT_FOUND", `There is no shipped model "${id}" that fits a page.`, {
      path: "models",
      hint: suggestion(
        id,
        all.map(({ info }) => info.id),
      ),
    });
  });
}

/** The first page, told that no server answers, and that nothing else may be asked. */
function staticPage(html: Uint8Array): string {
  const head =
    `<meta http-equiv="Content-Security-Policy" content="${contentPolicy}" />` +
    `<meta name="nextx-data" content="data/" />`;
  return new TextDecoder().decode(html).replace('<meta charset="utf-8" />', (charset) => charset + head);
}

class SiteWriter {
  readonly files: SiteFile[] = [];
  sizeBytes = 0;
  coreBytes = 0;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async write(path: string, content: Uint8Array | string, core: boolean): Promise<void> {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await writeFile(await this.#place(path), bytes);
    this.#note(path, bytes, core);
  }

  async copy(path: string, from: string, core: boolean): Promise<void> {
    await copyFile(from, await this.#place(path));
    this.#note(path, await readFile(from), core);
  }

  async #place(path: string): Promise<string> {
    const place = join(this.#folder, path);
    await mkdir(dirname(place), { recursive: true });
    return place;
  }

  #note(path: string, bytes: Uint8Array, core: boolean): void {
    this.files.push({ path, type: typeOf(path), sha256: sha256Hex(bytes), core });
    this.sizeBytes += bytes.length;
    if (core) this.coreBytes += bytes.length;
  }
}

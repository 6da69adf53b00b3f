/**
 * Accepted requests on disk, one folder each: `request.json` and `accepted.json`, its time (written before a request is
 * accepted), and `state.json`.
 * Written durably, locked by one server, so that a kill loses nothing that was accepted.
 */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { isLeftover, writeFileDurably, writeFolderDurably } from "../formats/durable.node.ts";
import { fileError, nodeFiles } from "../formats/durableLayer.node.ts";
import { acquireLock, type HeldLock } from "../regimen/runFolderLock.node.ts";
import { NextxError } from "../tensor/errors.ts";

/** What kind of requests a folder holds. */
export interface RequestForm<R, S> {
  readonly request: z.ZodType<R>;
  readonly state: z.ZodType<S>;
  /** State of a request that has none on disk. */
  readonly first: S;
  /** Ids are names of folders: only these are looked at. */
  readonly ids: RegExp;
  /** As in "There is no such job". */
  readonly noun: string;
}

export type Stored<R, S> = S & { readonly id: string; readonly request: R };

export class RequestFolders<R, S extends object> implements AsyncDisposable {
  readonly #folder: string;
  readonly #form: RequestForm<R, S>;
  readonly #lock: HeldLock;
  #lastMs = 0;

  protected constructor(folder: string, form: RequestForm<R, S>, lock: HeldLock) {
    this.#folder = folder;
    this.#form = form;
    this.#lock = lock;
  }

  /** Makes the folder where there is none, and locks it. @throws NextxError RUN_LOCKED, FILE_ codes */
  protected static async lock(folder: string): Promise<HeldLock> {
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw fileError(cause, folder, "make");
    });
    return acquireLock(folder, nodeFiles);
  }

  /** All requests, oldest first. Leftovers of a server before are removed, unreadable folders left alone. */
  async list(): Promise<Stored<R, S>[]> {
    const all: { readonly one: Stored<R, S>; readonly acceptedMs: number }[] = [];
    for (const name of (await nodeFiles.list(this.#folder)).sort()) {
      if (isLeftover(name)) await nodeFiles.remove(join(this.#folder, name));
      else if (this.#form.ids.test(name)) {
        const one = await this.read(name).catch(() => undefined); // left alone
        const acceptedMs = await this.#acceptedMs(name).catch(() => undefined); // removed meanwhile
        if (one && acceptedMs !== undefined) all.push({ one, acceptedMs });
      }
    }
    return all.sort((a, b) => a.acceptedMs - b.acceptedMs).map(({ one }) => one);
  }

  /** Writes the request; when this returns it is accepted. @throws NextxError FILE_ codes */
  async create(id: string, request: R): Promise<void> {
    const files = { "request.json": request, "accepted.json": this.#nextMs() };
    const written = Object.entries(files).map(([name, value]) => [name, JSON.stringify(value)] as const);
    await writeFolderDurably(this.path(id), new Map(written));
  }

  /** Milliseconds since 1970, later than any before: files' own times are too coarse to tell what came first. */
  #nextMs(): number {
    this.#lastMs = Math.max(performance.timeOrigin + performance.now(), this.#lastMs + 0.001);
    return this.#lastMs;
  }

  async #acceptedMs(name: string): Promise<number> {
    const folder = join(this.#folder, name);
    const stamp = await readJson(join(folder, "accepted.json"));
    return typeof stamp === "number" ? stamp : (await stat(join(folder, "request.json"))).mtimeMs; // of older versions
  }

  async setState(id: string, state: S): Promise<void> {
    await writeFileDurably(join(this.path(id), "state.json"), JSON.stringify(state));
  }

  /** @throws NextxError JOB_NOT_FOUND */
  async read(id: string): Promise<Stored<R, S>> {
    const folder = this.path(id);
    const request = this.#form.request.safeParse(await readJson(join(folder, "request.json")));
    if (!request.success) throw this.#notFound();
    const stored = this.#form.state.safeParse(await readJson(join(folder, "state.json")));
    return { id, ...(stored.success ? stored.data : this.#form.first), request: request.data };
  }

  async remove(id: string): Promise<void> {
    await nodeFiles.remove(this.path(id));
  }

  /** @throws NextxError JOB_NOT_FOUND for what is no id */
  protected path(id: string): string {
    if (this.#form.ids.test(id)) return join(this.#folder, id);
    throw this.#notFound();
  }

  #notFound(): NextxError {
    return new NextxError("JOB_NOT_FOUND", `There is no such ${this.#form.noun}.`, { path: "id" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock.release();
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(await nodeFiles.read(path)));
  } catch {
    return undefined; // missing or damaged: the reader decides
  }
}

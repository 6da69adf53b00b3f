/**
 * Accepted requests on disk, one folder each: `request.json` and `accepted.json`, its time (written before a request is
 * accepted), and `state.json`.
 * Written durably, locked by one server, so that a kill loses nothing that was accepted.
 */
import { existsSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { isLeftover, temporaryName, writeFileDurably, writeFolderDurably } from "../formats/durable.node.ts";
import { fileError, nodeFiles } from "../formats/durableLayer.node.ts";
import { acquireLock, type HeldLock } from "../regimen/runFolderLock.node.ts";
import { NextxError } from "../tensor/errors.ts";

/** What kind of requests a folder holds. */
export interface RequestForm<R, S> {
  readonly request: z.ZodType<R>;
  readonly state: z.ZodType<S>;
  /** State of a request that has none on disk. */
  readonly first: S;
  /** State of a request whose own cannot be read: it is not begun again. */
  readonly damaged: S;
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

  /** Ids of all requests, oldest first. Leftovers of a server before are removed. */
  async ids(): Promise<string[]> {
    const all: { readonly name: string; readonly acceptedMs: number }[] = [];
    for (const name of (await nodeFiles.list(this.#folder)).sort()) {
      if (isLeftover(name)) await nodeFiles.remove(join(this.#folder, name));
      else if (this.#form.ids.test(name)) {
        const acceptedMs = await this.#acceptedMs(name).catch(() => undefined); // removed meanwhile
        if (acceptedMs !== undefined) all.push({ name, acceptedMs });
      }
    }
    return all.sort((a, b) => a.acceptedMs - b.acceptedMs).map(({ name }) => name);
  }

  /** All requests, oldest first, one in memory at a time; unreadable folders are left alone. */
  async *each(): AsyncGenerator<Stored<R, S>> {
    for (const id of await this.ids()) {
      const one = await this.read(id).catch(() => undefined);
      if (one) yield one;
    }
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
    return { id, ...(await this.state(id)), request: request.data };
  }

  /** @throws NextxError JOB_NOT_FOUND */
  requireThere(id: string): void {
    if (!existsSync(this.path(id))) throw this.#notFound();
  }

  /** How a request stands, without reading it. */
  async state(id: string): Promise<S> {
    const { state, first, damaged } = this.#form;
    const path = join(this.path(id), "state.json");
    const stored = state.safeParse(await readJson(path));
    return stored.success ? stored.data : existsSync(path) ? damaged : first;
  }

  /** All of it or nothing: what a kill interrupts is a leftover, and no request without its state. */
  async remove(id: string): Promise<void> {
    const gone = temporaryName(this.path(id));
    await nodeFiles.rename(this.path(id), gone).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw fileError(cause, gone, "remove");
    });
    await nodeFiles.remove(gone);
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

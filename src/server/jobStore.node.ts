/**
 * Jobs that outlive their client, one folder each: `request.json` (written before a job is accepted), `state.json`, and
 * `result/` (appears whole or not at all). After a kill the folders say what is left to do: a job with a result is
 * finished, one that was running counts a crash.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isTemporary, writeFileDurably, writeFolderDurably } from "../formats/durable.node.ts";
import { fileError, nodeFiles } from "../formats/durableLayer.node.ts";
import { acquireLock, type HeldLock, lockName } from "../regimen/runFolderLock.node.ts";
import { NextxError } from "../tensor/errors.ts";
import type { PartResult } from "./compute/messages.ts";
import { errorSchema, type GenerateRequest, generateSchema, type JobInfo, jobStates } from "./protocol.ts";

const stateSchema = z.strictObject({
  state: z.enum(jobStates),
  crashes: z.int().min(0),
  error: errorSchema.shape.error.optional(),
});
export type StoredState = z.infer<typeof stateSchema>;

const idPattern = /^[a-z0-9]{6,12}-[0-9a-f]{12}$|^key-[0-9a-f]{32}$/;
const gridName = "grid.png";
const pictureName = (index: number): string => `picture-${index}.png`;

export class JobStore implements AsyncDisposable {
  readonly #folder: string;
  readonly #lock: HeldLock;

  private constructor(folder: string, lock: HeldLock) {
    this.#folder = folder;
    this.#lock = lock;
  }

  /** @throws NextxError RUN_LOCKED when another server uses the folder; FILE_ codes */
  static async open(folder: string): Promise<JobStore> {
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw fileError(cause, folder, "make");
    });
    return new JobStore(folder, await acquireLock(folder, nodeFiles));
  }

  /** All jobs, oldest first. Leftovers of interrupted writes are removed, unreadable folders left alone. */
  async list(): Promise<JobInfo[]> {
    const jobs: JobInfo[] = [];
    for (const name of (await nodeFiles.list(this.#folder)).sort()) {
      if (isTemporary(name)) await nodeFiles.remove(join(this.#folder, name));
      else if (idPattern.test(name))
        jobs.push(
          ...(await this.read(name).then(
            (job) => [job],
            () => [],
          )),
        );
      else if (name !== lockName) continue;
    }
    return jobs;
  }

  /** Writes the request; when this returns the job is accepted. @throws NextxError FILE_ codes */
  async create(id: string, request: GenerateRequest): Promise<void> {
    await writeFolderDurably(this.#path(id), new Map([["request.json", JSON.stringify(request)]]));
  }

  async setState(id: string, state: StoredState): Promise<void> {
    await writeFileDurably(join(this.#path(id), "state.json"), JSON.stringify(state));
  }

  /** Writes the pictures; from here on the job is finished, whatever happens. */
  async finish(id: string, { pictures, grid }: PartResult): Promise<void> {
    const files = new Map<string, Uint8Array>([[gridName, grid]]);
    for (const [i, picture] of pictures.entries()) files.set(pictureName(i), picture);
    await writeFolderDurably(join(this.#path(id), "result"), files);
  }

  /** @throws NextxError JOB_NOT_FOUND, FILE_DAMAGED */
  async read(id: string): Promise<JobInfo> {
    const folder = this.#path(id);
    const request = generateSchema.safeParse(await readJson(join(folder, "request.json")));
    if (!request.success) throw new NextxError("JOB_NOT_FOUND", `There is no job ${id}.`, { path: "id" });
    const hasResult = existsSync(join(folder, "result"));
    const stored = stateSchema.safeParse(await readJson(join(folder, "state.json")));
    const { state, crashes, error }: StoredState = stored.success
      ? stored.data
      : { state: "queued", crashes: 0 };
    return {
      id,
      state: hasResult ? "finished" : state,
      crashes,
      request: request.data,
      ...(error && { error }),
    };
  }

  /** A picture of a finished job; the grid of all without an index. @throws NextxError JOB_NOT_FOUND */
  async picture(id: string, index?: number): Promise<Uint8Array> {
    const name = index === undefined ? gridName : pictureName(index);
    return await nodeFiles.read(join(this.#path(id), "result", name)).catch(() => {
      throw new NextxError("JOB_NOT_FOUND", `Job ${id} has no such picture.`, {
        path: "id",
        hint: "Is it finished? See its state.",
      });
    });
  }

  async remove(id: string): Promise<void> {
    await nodeFiles.remove(this.#path(id));
  }

  /** @throws NextxError JOB_NOT_FOUND for what is no id */
  #path(id: string): string {
    if (idPattern.test(id)) return join(this.#folder, id);
    throw new NextxError("JOB_NOT_FOUND", "There is no such job.", { path: "id" });
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

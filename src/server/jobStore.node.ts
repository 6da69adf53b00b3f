/**
 * Jobs that outlive their client, one folder each: request and state, and `result/` (appears whole or not at all). After a
 * kill the folders say what is left to do: a job with a result is finished, one that was running counts a crash.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFolderDurably } from "../formats/durable.node.ts";
import { nodeFiles } from "../formats/durableLayer.node.ts";
import { NextxError } from "../tensor/errors.ts";
import type { PartResult } from "./compute/messages.ts";
import { errorBody } from "./errors.ts";
import { errorSchema, type GenerateRequest, generateSchema, jobStates } from "./protocol.ts";
import { RequestFolders, type RequestForm } from "./requestFolders.node.ts";

const stateSchema = z.strictObject({
  state: z.enum(jobStates),
  crashes: z.int().min(0),
  error: errorSchema.shape.error.optional(),
});
export type StoredState = z.infer<typeof stateSchema>;

const damagedState = errorBody(
  new NextxError("JOB_BAD_STATE", "How the job stood cannot be read any more.", { hint: "Retry it." }),
).error;

const form: RequestForm<GenerateRequest, StoredState> = {
  request: generateSchema,
  state: stateSchema,
  first: { state: "queued", crashes: 0 },
  damaged: { state: "parked", crashes: 0, error: damagedState },
  ids: /^[a-z0-9]{6,12}-[0-9a-f]{12}$|^key-[0-9a-f]{32}$/,
  noun: "job",
};
const gridName = "grid.png";
const pictureName = (index: number): string => `picture-${index}.png`;

export class JobStore extends RequestFolders<GenerateRequest, StoredState> {
  /** @throws NextxError RUN_LOCKED when another server uses the folder; FILE_ codes */
  static async open(folder: string): Promise<JobStore> {
    return new JobStore(folder, form, await JobStore.lock(folder));
  }

  override async state(id: string): Promise<StoredState> {
    const stored = await super.state(id);
    return existsSync(join(this.path(id), "result")) ? { ...stored, state: "finished" } : stored;
  }

  /** Writes the pictures; from here on the job is finished, whatever happens. */
  async finish(id: string, { pictures, grid }: PartResult): Promise<void> {
    const files = new Map<string, Uint8Array>([[gridName, grid]]);
    for (const [i, picture] of pictures.entries()) files.set(pictureName(i), picture);
    await writeFolderDurably(join(this.path(id), "result"), files);
  }

  /** A picture of a finished job; the grid of all without an index. @throws NextxError JOB_NOT_FOUND */
  async picture(id: string, index?: number): Promise<Uint8Array> {
    const name = index === undefined ? gridName : pictureName(index);
    return await nodeFiles.read(join(this.path(id), "result", name)).catch(() => {
      throw new NextxError("JOB_NOT_FOUND", `Job ${id} has no such picture.`, {
        path: "id",
        hint: "Is it finished? See its state.",
      });
    });
  }
}

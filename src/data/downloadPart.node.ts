/**
 * The unfinished file of a download, `NAME.part`, and beside it `NAME.part.json`: which file it is a part of and which
 * version of it, so that a later process can go on. What cannot be trusted is dropped; the checksum has the last word.
 */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { type FileLayer, type FileSink, fileError, systemErrorCode } from "../formats/durableLayer.node.ts";
import { NextxError } from "../tensor/errors.ts";

/** Someone else writes the same part. */
export function partBusy(path: string, cause?: unknown): NextxError {
  return new NextxError("DOWNLOAD_BUSY", `Another process writes ${path}.`, {
    path,
    hint: "Wait for it; if there is none, remove the file.",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Read at once when a finished part is checked. */
const chunkBytes = 2 ** 22;

const stateSchema = z.strictObject({
  url: z.string(),
  checksum: z.string(),
  validator: z.string().optional(),
});

/** Which file is being fetched. */
export interface PartIdentity {
  readonly url: string;
  readonly checksum: string;
}

/** An unfinished download on disk. Errors of every method: FILE_ codes. */
export class PartFile {
  readonly path: string;
  readonly #statePath: string;
  readonly #identity: PartIdentity;
  readonly #files: FileLayer;
  #sizeBytes = 0;
  #validator: string | undefined;

  private constructor(target: string, identity: PartIdentity, files: FileLayer) {
    this.path = `${target}.part`;
    this.#statePath = `${this.path}.json`;
    this.#identity = { url: identity.url, checksum: identity.checksum };
    this.#files = files;
  }

  /** What is left of an earlier download of the same file; anything else that stands in its place is removed. */
  static async open(target: string, identity: PartIdentity, files: FileLayer): Promise<PartFile> {
    const part = new PartFile(target, identity, files);
    const state = await part.#readState();
    const found = await part.sizeOnDisk();
    if (!state || state.url !== identity.url || state.checksum !== identity.checksum) {
      await part.clear();
      return part;
    }
    part.#sizeBytes = found;
    part.#validator = state.validator;
    return part;
  }

  /** Bytes that were received; what `append` counted, not what the disk says. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** ETag or date of the version that the bytes are from. */
  get validator(): string | undefined {
    return this.#validator;
  }

  async sizeOnDisk(): Promise<number> {
    try {
      return (await stat(this.path)).size;
    } catch (cause) {
      if (systemErrorCode(cause) === "ENOENT") return 0;
      throw fileError(cause, this.path, "read");
    }
  }

  /** Starts or goes on: notes the version, and gives a sink that counts. The caller closes it. */
  async append(validator: string | undefined): Promise<FileSink> {
    this.#validator = validator;
    const state = { ...this.#identity, ...(validator !== undefined && { validator }) };
    try {
      await this.#files.remove(this.#statePath);
      const note = await this.#files.open(this.#statePath, "create");
      await note.write(new TextEncoder().encode(JSON.stringify(state))).finally(() => note.close());
      const sink = await this.#files.open(this.path, "append");
      return {
        sync: () => sink.sync(),
        close: () => sink.close(),
        write: async (bytes) => {
          await sink.write(bytes).catch((cause: unknown) => {
            throw fileError(cause, this.path, "write");
          });
          this.#sizeBytes += bytes.length;
        },
      };
    } catch (cause) {
      if (systemErrorCode(cause) === "EEXIST") throw partBusy(this.path, cause); // a note appeared since it was removed
      throw fileError(cause, this.path, "write");
    }
  }

  /** The bytes so far; a part that vanished is someone else's work. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    if (this.#sizeBytes === 0) return;
    try {
      yield* createReadStream(this.path, { highWaterMark: chunkBytes });
    } catch (cause) {
      if (systemErrorCode(cause) === "ENOENT") throw partBusy(this.path, cause); // someone else finished it
      throw fileError(cause, this.path, "read");
    }
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    try {
      await this.#files.remove(this.path);
      await this.#files.remove(this.#statePath);
    } catch (cause) {
      throw fileError(cause, this.path, "remove");
    }
    this.#sizeBytes = 0;
    this.#validator = undefined;
  }

  async #readState(): Promise<z.infer<typeof stateSchema> | undefined> {
    try {
      return stateSchema.parse(JSON.parse(await readFile(this.#statePath, "utf8")));
    } catch {
      return undefined; // missing or torn: there is nothing to go on from
    }
  }
}

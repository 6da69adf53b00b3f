/**
 * Files that clients bring and that work makes for them: one folder each, with `record.json` and the file, or a folder of
 * files, under its name. Clients name them by id. What is brought arrives in parts, so that no request is large or long.
 */
import { randomBytes } from "node:crypto";
import { createReadStream, existsSync, type ReadStream, statSync } from "node:fs";
import { mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isLeftover, writeFolderDurably } from "../formats/durable.node.ts";
import { fileError, nodeFiles } from "../formats/durableLayer.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { type FileInfo, fileNameSchema, maxFileBytes, maxFiles, maxShelfBytes } from "./modelProtocol.ts";

const recordSchema = z.strictObject({
  name: fileNameSchema,
  /** As announced; null for what work makes, which appears whole or not at all. */
  sizeBytes: z.int().min(1).max(maxFileBytes).nullable(),
  createdMs: z.number(),
});
type FileRecord = z.infer<typeof recordSchema>;

const idPattern = /^[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?-[0-9a-f]{6}$/;

const notFound = (): NextxError => new NextxError("FILE_NOT_HERE", "There is no such file.", { path: "id" });

/** The start of an id, from a file's name. */
const slug = (name: string): string =>
  name
    .replace(/\.[^.]*$/, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 32)
    .replace(/^-+|-+$/g, "") || "file";

export class FileShelf {
  readonly #folder: string;
  /** Files that are being written to. */
  readonly #busy = new Set<string>();
  /** Places are given one after the other, so that the bounds hold. */
  #adding: Promise<unknown> = Promise.resolve();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Newest first. */
  async list(): Promise<FileInfo[]> {
    const names = await readdir(this.#folder).catch((): string[] => []); // nothing yet
    const infos: FileInfo[] = [];
    for (const id of names) {
      if (isLeftover(id)) await nodeFiles.remove(join(this.#folder, id));
      else if (idPattern.test(id))
        infos.push(
          ...(await this.read(id).then(
            (info) => [info],
            () => [],
          )),
        );
    }
    return infos.sort((a, b) => b.createdMs - a.createdMs);
  }

  /** @throws NextxError FILE_NOT_HERE */
  async read(id: string): Promise<FileInfo> {
    const { name, sizeBytes, createdMs } = await this.#record(id);
    const path = join(this.#folder, id, name);
    const found = statSync(path, { throwIfNoEntry: false });
    const parts = found?.isDirectory()
      ? (await readdir(path))
          .sort()
          .map((part) => ({ name: part, sizeBytes: statSync(join(path, part)).size }))
      : found
        ? [{ name, sizeBytes: found.size }]
        : [];
    const received = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    const isWhole = sizeBytes === null ? found !== undefined : received === sizeBytes;
    return { id, name, sizeBytes, received, isWhole, parts, createdMs };
  }

  /** A place for a file that will come. @throws NextxError FILE_SHELF_FULL, FILE_ codes */
  add(name: string, sizeBytes: number | null): Promise<string> {
    const added = this.#adding.then(() => this.#add(name, sizeBytes));
    this.#adding = added.catch(() => undefined); // whoever asked got the error
    return added;
  }

  async #add(name: string, sizeBytes: number | null): Promise<string> {
    const all = await this.list();
    const bytes = all.reduce(
      (sum, file) => sum + Math.max(file.received, file.sizeBytes ?? 0),
      sizeBytes ?? 0,
    );
    if (all.length >= maxFiles || bytes > maxShelfBytes) {
      throw new NextxError("FILE_SHELF_FULL", "There is no room for more files.", {
        hint: "Remove some first.",
      });
    }
    const id = `${slug(name)}-${randomBytes(3).toString("hex")}`;
    const record: FileRecord = { name, sizeBytes, createdMs: Date.now() };
    await mkdir(this.#folder, { recursive: true }).catch((cause: unknown) => {
      throw fileError(cause, id, "make");
    });
    await writeFolderDurably(join(this.#folder, id), new Map([["record.json", JSON.stringify(record)]]));
    return id;
  }

  /** Before the part itself is read. @throws NextxError FILE_NOT_HERE, FILE_BAD_PART where none can begin at `offset` */
  async requireNext(id: string, offset: number): Promise<void> {
    this.#requirePart(id, await this.#record(id), offset, 0);
  }

  /** Appends a part at the end; gives the bytes that are there. @throws NextxError FILE_NOT_HERE, FILE_BAD_PART, FILE_ codes */
  async append(id: string, offset: number, bytes: Uint8Array): Promise<number> {
    const record = await this.#record(id);
    this.#requirePart(id, record, offset, bytes.length);
    const { name, sizeBytes } = record;
    const path = join(this.#folder, id, name);
    this.#busy.add(id);
    try {
      const file = await open(path, "a");
      try {
        await file.appendFile(bytes);
        if (offset + bytes.length === sizeBytes) await file.sync();
      } finally {
        await file.close();
      }
    } catch (cause) {
      throw fileError(cause, name, "write");
    } finally {
      this.#busy.delete(id);
    }
    return offset + bytes.length;
  }

  #requirePart(id: string, { name, sizeBytes }: FileRecord, offset: number, length: number): void {
    const received = statSync(join(this.#folder, id, name), { throwIfNoEntry: false })?.size ?? 0;
    const isNext = offset === received && !this.#busy.has(id);
    if (isNext && sizeBytes !== null && offset + length <= sizeBytes) return;
    throw new NextxError("FILE_BAD_PART", `${received} bytes are there; the part starts at ${offset}.`, {
      path: "offset",
      hint: "Send one part after the other, not more than was announced.",
    });
  }

  /** Where a whole file lies. @throws NextxError FILE_NOT_HERE, FILE_NOT_WHOLE */
  async path(id: string): Promise<string> {
    const { name, isWhole } = await this.read(id);
    if (isWhole) return join(this.#folder, id, name);
    throw new NextxError("FILE_NOT_WHOLE", `${name} is not there yet.`, { path: "id" });
  }

  /** Where work is to write. @throws NextxError FILE_NOT_HERE */
  async target(id: string): Promise<string> {
    return join(this.#folder, id, (await this.#record(id)).name);
  }

  /** The bytes of a part, by a name from `read`. @throws NextxError FILE_NOT_HERE */
  async open(id: string, part: string): Promise<{ stream: ReadStream; sizeBytes: number }> {
    const { name, parts, isWhole } = await this.read(id);
    const found = parts.find((one) => one.name === part);
    if (!isWhole || found === undefined) throw notFound();
    const path = join(this.#folder, id, name);
    const file = statSync(path).isDirectory() ? join(path, found.name) : path;
    return { stream: createReadStream(file), sizeBytes: found.sizeBytes };
  }

  /** @throws NextxError FILE_NOT_HERE */
  async remove(id: string): Promise<void> {
    await this.#record(id);
    await nodeFiles.remove(join(this.#folder, id));
  }

  async #record(id: string): Promise<FileRecord> {
    if (!idPattern.test(id) || !existsSync(join(this.#folder, id))) throw notFound();
    const bytes = await nodeFiles.read(join(this.#folder, id, "record.json")).catch(() => {
      throw notFound();
    });
    try {
      return recordSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    } catch {
      throw notFound(); // damaged: as if it were not there
    }
  }
}

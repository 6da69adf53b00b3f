/**
 * Writes files and folders so that a crash, a full disk or a power cut leaves the old state or the new one, never a
 * mixture: temporary name, write, fsync, rename, fsync of the parent. Folders carry a manifest with the size and
 * SHA-256 of each file, so a reader can tell a whole one. Knows nothing about what the bytes mean.
 */
import { createHash, randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { NextxError } from "../tensor/errors.ts";
import { type FileLayer, fileError, nodeFiles } from "./durableLayer.node.ts";

export interface DurableOptions {
  /** The file system; the real one when absent. */
  readonly files?: FileLayer;
}

/** Name of the file that lists a durable folder's content. */
export const manifestName = "manifest.json";
const manifestVersion = 1;
const entryName = /^(?!\.)[A-Za-z0-9._-]{1,200}$/;

const manifestSchema = z.strictObject({
  format: z.literal("nextx-folder"),
  version: z.number().int().min(1),
  files: z.array(
    z.strictObject({
      name: z.string().regex(entryName),
      sizeBytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/** Lower-case hexadecimal SHA-256 (64 digits). */
export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A name beside `path` that no other writer uses; `isTemporary` recognises it. */
export function temporaryName(path: string): string {
  return `${path}.tmp-${process.pid}-${randomBytes(6).toString("hex")}`;
}

/** Whether a file or folder name is what an interrupted durable write left behind. */
export function isTemporary(name: string): boolean {
  return /\.tmp-\d+-[0-9a-f]{12}$/.test(name);
}

/** Whether such a name was left behind by another process: one of this process may still be written to. */
export const isLeftover = (name: string): boolean =>
  isTemporary(name) && !name.includes(`.tmp-${process.pid}-`);

/**
 * Replaces or creates a file. When it throws, the old file is still there (or the new one, when only the last fsync failed).
 * @throws NextxError FILE_NO_SPACE, FILE_READ_ONLY, FILE_PERMISSION, FILE_NOT_FOUND (no parent folder), FILE_IO
 */
export async function writeFileDurably(
  path: string,
  bytes: Uint8Array | string,
  options: DurableOptions = {},
): Promise<void> {
  await writePartsDurably(path, [asBytes(bytes)], options);
}

/**
 * Replaces or creates a file from pieces that are made while it is written; for files larger than memory. When a piece
 * cannot be made, the old file is still there.
 * @throws NextxError as writeFileDurably; whatever making the pieces throws
 */
export async function writePartsDurably(
  path: string,
  parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { files = nodeFiles }: DurableOptions = {},
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await writeAndSync(files, temporary, parts);
    await files.rename(temporary, path);
  } catch (cause) {
    await files.remove(temporary).catch(() => undefined); // the first failure is the one to report
    throw fileError(cause, path, "write");
  }
  await syncParent(files, path);
}

/**
 * Creates a folder with these files and a manifest; it appears whole or not at all. Entry names are plain file names of
 * letters, digits, dot, dash and underscore.
 * @throws NextxError FILE_EXISTS when there is a folder with files already; FILE_BAD_NAME; else as writeFileDurably
 */
export async function writeFolderDurably(
  path: string,
  entries: ReadonlyMap<string, Uint8Array | string>,
  { files = nodeFiles }: DurableOptions = {},
): Promise<void> {
  for (const name of entries.keys()) requireEntryName(path, name);
  const temporary = temporaryName(path);
  try {
    await files.makeFolder(temporary);
    const listed: z.infer<typeof manifestSchema>["files"] = [];
    for (const [name, content] of entries) {
      const bytes = asBytes(content);
      await writeAndSync(files, join(temporary, name), [bytes]);
      listed.push({ name, sizeBytes: bytes.length, sha256: sha256Hex(bytes) });
    }
    const manifest = { format: "nextx-folder", version: manifestVersion, files: listed };
    await writeAndSync(files, join(temporary, manifestName), [
      asBytes(`${JSON.stringify(manifest, null, 2)}\n`),
    ]);
    await files.syncFolder(temporary);
    await files.rename(temporary, path);
  } catch (cause) {
    await files.remove(temporary).catch(() => undefined); // the first failure is the one to report
    throw fileError(cause, path, "write");
  }
  await syncParent(files, path);
}

/**
 * The files of a durable folder, each checked against the manifest. Files that the manifest does not name are ignored.
 * @throws NextxError FILE_DAMAGED (missing or changed file, no manifest), FILE_NEWER_VERSION, FILE_NOT_FOUND, FILE_IO
 */
export async function readFolderVerified(
  path: string,
  { files = nodeFiles }: DurableOptions = {},
): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  await forEachVerified(path, files, (name, bytes) => found.set(name, bytes));
  return found;
}

/**
 * Checks every file of a durable folder against its manifest, one after another, and returns their names.
 * @throws NextxError as readFolderVerified
 */
export async function verifyFolder(
  path: string,
  { files = nodeFiles }: DurableOptions = {},
): Promise<string[]> {
  const names: string[] = [];
  await forEachVerified(path, files, (name) => names.push(name));
  return names;
}

async function forEachVerified(
  path: string,
  files: FileLayer,
  visit: (name: string, bytes: Uint8Array) => void,
): Promise<void> {
  const present = await files.list(path).catch((cause: unknown) => {
    throw fileError(cause, path, "read");
  });
  const readEntry = (name: string) =>
    files.read(join(path, name)).catch((cause: unknown) => {
      throw fileError(cause, join(path, name), "read");
    });
  if (!present.includes(manifestName)) throw damaged(path, `has no ${manifestName}`);
  for (const { name, sizeBytes, sha256 } of parseManifest(path, await readEntry(manifestName)).files) {
    if (!present.includes(name)) throw damaged(join(path, name), "is missing");
    const bytes = await readEntry(name);
    if (bytes.length !== sizeBytes)
      throw damaged(join(path, name), `should have ${sizeBytes} bytes, has ${bytes.length}`);
    if (sha256Hex(bytes) !== sha256)
      throw damaged(join(path, name), "is not what was written (SHA-256 differs)");
    visit(name, bytes);
  }
}

function parseManifest(path: string, bytes: Uint8Array): z.infer<typeof manifestSchema> {
  const where = join(path, manifestName);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged(where, "is not JSON", cause);
  }
  const version = z.looseObject({ version: z.number().int() }).safeParse(json);
  if (version.success && version.data.version > manifestVersion) {
    throw new NextxError(
      "FILE_NEWER_VERSION",
      `${where} has version ${version.data.version}; this nextx reads up to ${manifestVersion}.`,
      { path: where, hint: "Update nextx." },
    );
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) throw damaged(where, "is not a manifest", parsed.error);
  return parsed.data;
}

function requireEntryName(path: string, name: string): void {
  if (entryName.test(name) && name !== manifestName && !isTemporary(name)) return;
  throw new NextxError("FILE_BAD_NAME", `${JSON.stringify(name)} cannot be the name of a file in ${path}.`, {
    path: name,
    hint: `Use letters, digits, dot, dash and underscore; ${manifestName} is taken.`,
  });
}

function damaged(path: string, message: string, cause?: unknown): NextxError {
  return new NextxError("FILE_DAMAGED", `${path} ${message}.`, {
    path,
    hint: "Use an older or a fresh copy.",
    ...(cause === undefined ? {} : { cause }),
  });
}

async function writeAndSync(
  files: FileLayer,
  path: string,
  parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const sink = await files.open(path, "create");
  try {
    for await (const part of parts) await sink.write(part);
    await sink.sync();
  } catch (error) {
    await sink.close().catch(() => undefined); // the first failure is the one to report
    throw error;
  }
  await sink.close();
}

async function syncParent(files: FileLayer, path: string): Promise<void> {
  try {
    await files.syncFolder(dirname(path));
  } catch (cause) {
    throw fileError(cause, dirname(path), `make ${basename(path)} permanent in`);
  }
}

const asBytes = (content: Uint8Array | string): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content;

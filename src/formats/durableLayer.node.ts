/**
 * The file operations that durable writing is made of, behind an interface so that a test can fail or cut off each one.
 * Failed operations become NextxErrors with codes that name the cause: disk full, read-only, no permission.
 */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import { NextxError } from "../tensor/errors.ts";

/** A file open for writing. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>;
  /** Returns when the bytes are on the device. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** File operations by absolute or relative path. Failures are system errors (`code` such as ENOSPC). */
export interface FileLayer {
  /** `create` refuses a file that exists; `append` makes one that does not. */
  open(path: string, mode: "create" | "append"): Promise<FileSink>;
  read(path: string): Promise<Uint8Array>;
  /** Names in a folder, in no particular order. */
  list(path: string): Promise<string[]>;
  /** Makes one folder; refuses one that exists. */
  makeFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a folder with all it holds; fine when there is none. */
  remove(path: string): Promise<void>;
  /** Returns when the folder's entries are on the device. */
  syncFolder(path: string): Promise<void>;
}

/** Bytes per system call when reading: one call takes less than 2 GiB. */
const readChunkBytes = 2 ** 28;

async function readAll(path: string): Promise<Uint8Array> {
  const handle = await fs.open(path, constants.O_RDONLY);
  try {
    const { size } = await handle.stat();
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const length = Math.min(readChunkBytes, size - filled);
      const { bytesRead } = await handle.read(bytes, filled, length, filled);
      if (bytesRead === 0) return bytes.slice(0, filled); // the file shrank meanwhile
      filled += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return; // folders cannot be opened there; the file system orders renames itself
  const handle = await fs.open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The real file system. */
export const nodeFiles: FileLayer = {
  async open(path, mode) {
    const handle = await fs.open(path, mode === "create" ? "wx" : "a");
    return {
      write: (bytes) => handle.writeFile(bytes),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  read: readAll,
  list: (path) => fs.readdir(path),
  makeFolder: (path) => fs.mkdir(path),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
  syncFolder,
};

/** Code of a failed system call, such as ENOENT. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

const causes: readonly (readonly [
  code: string,
  systemCodes: readonly string[],
  what: string,
  hint: string,
])[] = [
  ["FILE_NO_SPACE", ["ENOSPC", "EDQUOT"], "the disk or quota is full", "Free some space, then run it again."],
  ["FILE_READ_ONLY", ["EROFS"], "the file system is read-only", "Choose a folder that can be written."],
  ["FILE_PERMISSION", ["EACCES", "EPERM"], "permission denied", "Check the owner and mode of the folder."],
  [
    "FILE_NOT_FOUND",
    ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"],
    "no such file or folder, or a name that is too long",
    "Check the path.",
  ],
  ["FILE_EXISTS", ["EEXIST", "ENOTEMPTY"], "it exists already", "Choose another name, or remove it first."],
];

/**
 * The NextxError for a failed file operation: FILE_NO_SPACE, FILE_READ_ONLY, FILE_PERMISSION, FILE_NOT_FOUND, FILE_EXISTS,
 * else FILE_IO. A NextxError passes unchanged. `action` completes "Cannot ...", for example "write".
 */
export function fileError(cause: unknown, path: string, action: string): NextxError {
  if (cause instanceof NextxError) return cause;
  const system = systemErrorCode(cause) ?? "unknown error";
  const known = causes.find(([, systemCodes]) => systemCodes.includes(system));
  const [code, , what, hint] = known ?? [
    "FILE_IO",
    [],
    "input/output error",
    "Check the disk, then run it again.",
  ];
  return new NextxError(code, `Cannot ${action} ${path}: ${what} (${system}).`, { path, hint, cause });
}

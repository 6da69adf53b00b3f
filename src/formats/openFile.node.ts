/**
 * Opens files for reading in ranges: regular files only, sizes checked at each read, no limit at 2 GiB. A pipe or device
 * is refused without waiting for it.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { NextxError } from "../tensor/errors.ts";
import { allocateBytes, type ByteSource, checkRange } from "./byteSource.ts";
import { fileError } from "./durableLayer.node.ts";

/** One system call takes less than 2 GiB. */
const chunkBytes = 2 ** 28;

/** An open file; close it, or use `await using`. */
export interface OpenedFile extends ByteSource, AsyncDisposable {
  close(): Promise<void>;
}

/**
 * @throws NextxError FILE_NOT_FOUND, FILE_PERMISSION, FILE_NOT_REGULAR (folder, pipe, device), FILE_IO; reads throw
 * FILE_TRUNCATED (range outside), FILE_CHANGED (its size is another than when it was opened), FILE_TOO_LARGE (the range does
 * not fit memory), FILE_IO
 */
export async function openFile(path: string): Promise<OpenedFile> {
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((cause) => {
    throw fileError(cause, path, "read");
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      throw new NextxError("FILE_NOT_REGULAR", `${path} is ${stat.isDirectory() ? "a folder" : "no file"}.`, {
        path,
        hint: "Give the path of a file.",
      });
    }
    return openedFile(path, handle, stat.size);
  } catch (error) {
    await handle.close();
    throw fileError(error, path, "read");
  }
}

function openedFile(path: string, handle: FileHandle, sizeBytes: number): OpenedFile {
  const close = () => handle.close();
  const file: OpenedFile = {
    path,
    sizeBytes,
    close,
    [Symbol.asyncDispose]: close,
    async read(offset, length) {
      checkRange(file, offset, length);
      const bytes = allocateBytes(path, length);
      try {
        await requireSize(path, handle, sizeBytes);
        for (let filled = 0; filled < length; ) {
          const want = Math.min(chunkBytes, length - filled);
          const { bytesRead } = await handle.read(bytes, filled, want, offset + filled);
          if (bytesRead === 0) throw changed(path);
          filled += bytesRead;
        }
      } catch (error) {
        throw fileError(error, path, "read");
      }
      return bytes;
    },
  };
  return file;
}

async function requireSize(path: string, handle: FileHandle, sizeBytes: number): Promise<void> {
  if ((await handle.stat()).size !== sizeBytes) throw changed(path);
}

function changed(path: string): NextxError {
  return new NextxError("FILE_CHANGED", `${path} changed while it was read.`, {
    path,
    hint: "Read it when nobody writes to it.",
  });
}

/** Reads files of data sets: what is missing or unreadable becomes an error that says where it was looked for. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { NextxError } from "../tensor/errors.ts";
import type { DataHome } from "./homes.ts";

/** No file of a data set is larger than this when unpacked. */
const maxUnpackedBytes = 2 ** 29;

/** The error for a missing file or folder. */
export function notFound(path: string, source: string, cause?: unknown): NextxError {
  return new NextxError("DATA_NOT_FOUND", `There is no ${path}.`, {
    path,
    hint: `Get it from ${source}, and point --data or NEXTX_DATA at the folder that holds it.`,
    cause,
  });
}

/** Code of a failed system call, such as ENOENT. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/**
 * Bytes of `name` in the data set's folder, unpacked when the name ends in .gz.
 * @throws NextxError DATA_NOT_FOUND, DATA_UNREADABLE
 */
export async function readDataFile(dataRoot: string, home: DataHome, name: string): Promise<Uint8Array> {
  const path = join(dataRoot, home.folder, name);
  try {
    const bytes = await readFile(path);
    return name.endsWith(".gz") ? gunzipSync(bytes, { maxOutputLength: maxUnpackedBytes }) : bytes;
  } catch (cause) {
    const code = systemCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") throw notFound(path, home.source, cause);
    throw new NextxError("DATA_UNREADABLE", `${path} cannot be read (${code ?? "damaged"}).`, {
      path,
      hint: `Get a fresh copy from ${home.source}.`,
      cause,
    });
  }
}

/** Output files of commands: never over something that was not ours. */
import { accessSync, constants, readFileSync, type Stats, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { writeFileDurably } from "../formats/durable.node.ts";
import { fileError } from "../formats/durableLayer.node.ts";
import { readPngRecipe } from "../formats/png.ts";
import { NextxError } from "../tensor/errors.ts";

/** Reads a file the user named. @throws NextxError FILE_NOT_FOUND, FILE_UNREADABLE */
export function readUserFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : "";
    if (code === "ENOENT") throw new NextxError("FILE_NOT_FOUND", `There is no ${path}.`, { path, cause });
    const reason = code === "EISDIR" ? "it is a folder" : String(code);
    throw new NextxError("FILE_UNREADABLE", `${path} cannot be read: ${reason}.`, { path, cause });
  }
}

function isOurPicture(path: string): boolean {
  try {
    readPngRecipe(readFileSync(path), path);
    return true;
  } catch {
    return false; // whatever it is, it is not ours
  }
}

/** What lies at a path, where it can be looked at: writing says what is wrong with others. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/**
 * Refuses to replace a folder, and a file unless it is a picture of ours or `force` is set, and folders that are not there
 * or cannot be written; asked before the work begins.
 * @throws NextxError CLI_NO_STDOUT, FILE_EXISTS, FILE_NOT_FOUND, FILE_PERMISSION, FILE_READ_ONLY
 */
export function requireReplaceable(path: string, force: boolean): void {
  const found = lookAt(path);
  if (path === "-") {
    const hint = "Name a file; ./- is one of that name.";
    throw new NextxError("CLI_NO_STDOUT", "Output goes to files, not to a pipe.", { path: "out", hint });
  }
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    throw fileError(cause, path, "write");
  }
  if (found?.isDirectory()) {
    const hint = "Name a file in it, or another one.";
    throw new NextxError("FILE_EXISTS", `${path} is a folder.`, { path, hint });
  }
  if (force || found === undefined || isOurPicture(path)) return;
  throw new NextxError("FILE_EXISTS", `${path} exists.`, {
    path,
    hint: "Choose another name, or pass --force to replace it.",
  });
}

/** Makes a folder for output, before the work begins. @throws NextxError FILE_ codes */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw fileError(cause, path, "make");
  });
}

/** Writes an output file. @throws NextxError FILE_ codes */
export async function writeOutput(path: string, bytes: Uint8Array): Promise<void> {
  await writeFileDurably(path, bytes);
}

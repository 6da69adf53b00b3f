/** Files that the user named: read, and written never over something that was not ours. */
import { accessSync, constants, lstatSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
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
    if (!lookAt(path)?.isFile()) return false; // a pipe would be waited for
    readPngRecipe(readFileSync(path), path);
    return true;
  } catch {
    return false; // whatever it is, it is not ours
  }
}

/** What lies at a path, where it can be looked at: writing says what is wrong with others. A link to nothing is itself. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/**
 * Refuses to replace what is no file, a file unless `force` is set, and folders that are not there or cannot be written;
 * asked before the work begins.
 * @throws NextxError CLI_NO_STDOUT, FILE_BAD_NAME, FILE_EXISTS, FILE_NOT_FOUND, FILE_PERMISSION, FILE_READ_ONLY
 */
export function requireReplaceable(path: string, force: boolean): void {
  if (path === "-") {
    const hint = "Name a file; ./- is one of that name.";
    throw new NextxError("CLI_NO_STDOUT", "Output goes to files, not to a pipe.", { path: "out", hint });
  }
  if (path === "") throw new NextxError("FILE_BAD_NAME", "A file to write has no name.");
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    throw fileError(cause, path, "write");
  }
  const found = lookAt(path);
  if (found?.isDirectory()) {
    const hint = "Name a file in it, or another one.";
    throw new NextxError("FILE_EXISTS", `${path} is a folder.`, { path, hint });
  }
  if (found && !found.isFile() && !found.isSymbolicLink())
    throw new NextxError("FILE_EXISTS", `${path} is a device or a pipe.`, { path, hint: "Name a file." });
  if (force || found === undefined) return;
  throw new NextxError("FILE_EXISTS", `${path} exists.`, {
    path,
    hint: "Choose another name, or pass --force to replace it.",
  });
}

/** The same for a picture, which may replace one that nextx made. */
export function requirePictureReplaceable(path: string, force: boolean): void {
  requireReplaceable(path, force || isOurPicture(path));
}

/** One file's only name. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    try {
      return join(realpathSync(dirname(path)), basename(path)); // not there yet
    } catch {
      return resolve(path);
    }
  }
}

/** Refuses to write over another file of the same command, by what that one is. @throws NextxError CLI_SAME_FILE */
export function requireApart(path: string, others: Readonly<Record<string, string | undefined>>): void {
  for (const [what, other] of Object.entries(others)) {
    if (other === undefined || realPath(other) !== realPath(path)) continue;
    const hint = "Name another file.";
    throw new NextxError("CLI_SAME_FILE", `${path} would replace the ${what}.`, { path, hint });
  }
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

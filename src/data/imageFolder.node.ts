/**
 * The user's own pictures: a folder with one sub-folder per class, classes in the order of their names. Every picture's
 * middle square is resized when the set is opened and kept as bytes. Splits follow from the hash of the path inside the
 * folder. Links are not followed.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readImageFile } from "../formats/imageFile.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { notFound, systemCode } from "./dataFiles.node.ts";
import { fitSquare } from "./fitSquare.ts";
import { Fnv64 } from "./hash.ts";
import { createPictureSet, splitOfName } from "./pictureSet.ts";
import type { ImageSet, Split } from "./types.ts";

const pictureName = /\.(png|jpe?g|webp|gif|avif|tiff?)$/i;
const maxBytes = 2 ** 32;

/** Entries of a folder by name, folders or files; unreadable folders are errors. */
async function list(folder: string, wanted: "folders" | "files", recursive = false): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true, recursive });
    return entries
      .filter((entry) => (wanted === "folders" ? entry.isDirectory() : entry.isFile()))
      .map((entry) =>
        join(entry.parentPath, entry.name).slice(join(folder, "/").length).replaceAll("\\", "/"),
      )
      .filter((name) => !name.startsWith("."))
      .sort((a, b) => (a < b ? -1 : 1));
  } catch (cause) {
    const code = systemCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") throw notFound(folder, "your own pictures", cause);
    throw new NextxError("DATA_UNREADABLE", `${folder} cannot be listed (${code ?? "unknown reason"}).`, {
      path: folder,
      cause,
    });
  }
}

/**
 * One split of a folder of pictures at `size`.
 * @throws NextxError DATA_NOT_FOUND, DATA_NO_CLASSES, DATA_EMPTY_SPLIT, DATA_TOO_LARGE and the codes of `readImageFile`
 */
export async function openImageFolder(folder: string, size: number, split: Split): Promise<ImageSet> {
  const classNames = await list(folder, "folders");
  const found: { path: string; label: number }[] = [];
  for (const [label, name] of classNames.entries()) {
    for (const file of await list(join(folder, name), "files", true)) {
      if (pictureName.test(file)) found.push({ path: `${name}/${file}`, label });
    }
  }
  if (found.length === 0) {
    throw new NextxError("DATA_NO_CLASSES", `${folder} has no sub-folders with pictures.`, {
      path: folder,
      hint: "Make one sub-folder per class and put PNG, JPEG or WebP files into it.",
    });
  }
  const members = found.filter(({ path }) => splitOfName(path) === split);
  const pictureLength = size * size * 3;
  if (members.length * pictureLength > maxBytes) {
    throw new NextxError("DATA_TOO_LARGE", `${members.length} pictures of ${size} px need more than 4 GB.`, {
      path: folder,
      hint: "Choose a smaller size or fewer pictures.",
    });
  }
  const pixels = new Uint8Array(members.length * pictureLength);
  for (const [i, { path }] of members.entries()) {
    pixels.set(fitSquare(await readImageFile(join(folder, path)), size), i * pictureLength);
  }
  const version = new Fnv64().update(pixels).update(JSON.stringify(members)).digest();
  return createPictureSet({
    id: "folder",
    split,
    size,
    classNames,
    version,
    members: Uint32Array.from(members.keys()),
    read: (member) => ({
      pixels: pixels.slice(member * pictureLength, (member + 1) * pictureLength),
      label: members[member]?.label ?? 0, // members are in range
    }),
  });
}

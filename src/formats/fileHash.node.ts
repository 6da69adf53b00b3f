/** SHA-256 of large files, remembered by what the system says of the file: hashing gigabytes takes seconds. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "./durableLayer.node.ts";

async function hashed(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    const pieces = createReadStream(path, { highWaterMark: 2 ** 20 });
    for await (const piece of pieces) hash.update(piece as Uint8Array); // no encoding was set
  } catch (error) {
    throw fileError(error, path, "read");
  }
  return hash.digest("hex");
}

/**
 * The file's SHA-256 in hex. `remembered` is a folder for what was computed before: an entry holds for as long as path,
 * size, inode and times of the file stay the same; a folder that cannot be written is no error.
 * @throws NextxError the codes of reading a file
 */
export async function fileSha256(path: string, remembered?: string): Promise<string> {
  if (remembered === undefined) return hashed(path);
  const { size, ino, mtimeNs, ctimeNs } = await stat(path, { bigint: true }).catch((error) => {
    throw fileError(error, path, "read");
  });
  const key = createHash("sha256").update(
    JSON.stringify([path, ...[size, ino, mtimeNs, ctimeNs].map(String)]),
  );
  const entry = join(remembered, `${key.digest("hex").slice(0, 32)}.sha256`);
  const known = await readFile(entry, "utf8").catch(() => ""); // not there: computed below
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const sha256 = await hashed(path);
  await mkdir(remembered, { recursive: true })
    .then(() => writeFile(entry, sha256))
    .catch(() => undefined); // it is computed again next time
  return sha256;
}

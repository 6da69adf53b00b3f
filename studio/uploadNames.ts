/** Names of files on their way to the server, and whether a file is the rest of one. */
import type { FileInfo } from "../src/server/modelProtocol.ts";

/** A file's name as the server takes it. */
export const shelfName = (name: string): string =>
  name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "");

/** Why a chosen file cannot be the rest of one of which a part is there; empty when it can. */
export function continueProblem(
  { name, size }: Pick<File, "name" | "size">,
  partial: Pick<FileInfo, "name" | "sizeBytes">,
): string {
  if (shelfName(name) === partial.name && size === partial.sizeBytes) return "";
  return `${name} is not the file that began as ${partial.name}: choose that one, of ${(partial.sizeBytes ?? 0).toLocaleString("en")} bytes.`;
}

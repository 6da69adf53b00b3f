/** Files of the studio, read once: what a client asks for is looked up, never opened. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".wasm": "application/wasm",
};

/** Media type by a name's ending. */
export const typeOf = (path: string): string => types[extname(path)] ?? "application/octet-stream";

export interface StaticFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
}

/** By path below the site's root, with a leading slash. */
export type StaticFiles = ReadonlyMap<string, StaticFile>;

/** Every file of a folder with a known ending; undefined without an index.html. */
export function readStaticFiles(folder: string): StaticFiles | undefined {
  if (!existsSync(join(folder, "index.html"))) return undefined;
  const files = new Map<string, StaticFile>();
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const type = types[extname(entry)];
    if (type !== undefined)
      files.set(`/${entry.replaceAll("\\", "/")}`, {
        bytes: Uint8Array.from(readFileSync(join(folder, entry))),
        type,
      });
  }
  return files;
}

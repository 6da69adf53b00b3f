/** Whether a data set's files are there and what they should be, and how to get what is missing. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { NextxError } from "../tensor/errors.ts";
import { systemCode } from "./dataFiles.node.ts";
import { type DownloadOptions, downloadFile } from "./download.node.ts";
import type { DataFile, DataHome } from "./homes.ts";

/** What is known of a file: its bytes are right, it is not there, or it holds something else. */
export type FileState = "present" | "missing" | "damaged";

/** The state of a set: damaged when one file is, else missing when one file is. */
export interface SetState {
  readonly state: FileState;
  readonly files: readonly { readonly name: string; readonly state: FileState }[];
}

/**
 * Looks at every file of a set; reads all of them.
 * @throws NextxError ABORTED
 */
export async function inspectSetFiles(
  home: DataHome,
  dataRoot: string,
  signal?: AbortSignal,
): Promise<SetState> {
  const files: { name: string; state: FileState }[] = [];
  for (const file of home.files) {
    if (signal?.aborted)
      throw new NextxError("ABORTED", "The check was cancelled.", { cause: signal.reason });
    files.push({ name: file.name, state: await fileState(join(dataRoot, home.folder, file.name), file) });
  }
  const has = (state: FileState) => files.some((file) => file.state === state);
  return { state: has("damaged") ? "damaged" : has("missing") ? "missing" : "present", files };
}

async function fileState(path: string, { name, contentSha256 }: DataFile): Promise<FileState> {
  const hash = createHash("sha256");
  try {
    const source = createReadStream(path);
    if (name.endsWith(".gz")) await pipeline(source, createGunzip(), hash);
    else await pipeline(source, hash);
  } catch (cause) {
    return ["ENOENT", "ENOTDIR"].includes(systemCode(cause) ?? "") ? "missing" : "damaged";
  }
  return hash.digest("hex") === contentSha256 ? "present" : "damaged";
}

/** What happened to one file. */
export interface FetchedFile {
  readonly name: string;
  readonly did: "kept" | "downloaded";
}

/** How `fetchSetFiles` works. */
export interface FetchOptions extends Omit<DownloadOptions, "onProgress"> {
  readonly onProgress?: (name: string, receivedBytes: number, totalBytes: number) => void;
}

/**
 * Downloads what is missing or damaged into the set's folder below `dataRoot`; good files are kept. `id` names the set.
 * @throws NextxError DATA_NO_HOME when a file that is needed cannot be downloaded; the codes of `downloadFile`
 */
export async function fetchSetFiles(
  id: string,
  home: DataHome,
  dataRoot: string,
  { onProgress, ...options }: FetchOptions = {},
): Promise<FetchedFile[]> {
  const { files } = await inspectSetFiles(home, dataRoot, options.signal);
  const wanted = new Set(files.filter(({ state }) => state !== "present").map(({ name }) => name));
  requireHome(id, home, wanted);
  const fetched: FetchedFile[] = [];
  for (const { name, download } of home.files) {
    if (download && wanted.has(name)) {
      const { sha256, sizeBytes } = download;
      const path = join(dataRoot, home.folder, name);
      await downloadFile(
        { url: `${home.baseUrl}${name}`, path, sha256, sizeBytes },
        { ...options, onProgress: ({ receivedBytes }) => onProgress?.(name, receivedBytes, sizeBytes) },
      );
    }
    fetched.push({ name, did: wanted.has(name) ? "downloaded" : "kept" });
  }
  return fetched;
}

function requireHome(id: string, home: DataHome, wanted: ReadonlySet<string>): void {
  const homeless = home.files.filter(({ name, download }) => wanted.has(name) && !download);
  const [first] = homeless;
  if (!first) return;
  throw new NextxError(
    "DATA_NO_HOME",
    `${id} cannot be downloaded: ${homeless.length} of its files have no public home, the first is ${first.name}.`,
    { path: `${home.folder}/${first.name}`, hint: home.instead ?? `It comes from ${home.source}.` },
  );
}

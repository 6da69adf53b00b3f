/**
 * Files of a model hub by id: `owner/name:file`. The hub says which files there are, their sizes and checksums (SHA-256
 * of large ones, Git's SHA-1 of small ones); they are downloaded at the commit that it named, resumed and verified.
 * Source: the hub's HTTP API as huggingface_hub uses it (`model_info(files_metadata=True)`, `hf_hub_url`).
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { fileError } from "../formats/durableLayer.node.ts";
import { maxIndexBytes, parseShardIndex } from "../formats/shards.ts";
import { suggestion } from "../formats/suggest.ts";
import { NextxError } from "../tensor/errors.ts";
import { type DownloadOptions, downloadFile } from "./download.node.ts";
import { ask, downloadError, reasonOf, TryAgain } from "./downloadRequest.node.ts";

export const defaultHub = "https://huggingface.co";
const maxListBytes = 2 ** 24;
const listTimeoutMs = 60_000;

/** One file of a repository. */
export interface HubFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha256?: string;
  readonly gitSha1?: string;
}

export interface HubListing {
  readonly id: string;
  /** Commit that the files are of. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

export interface HubOptions extends Omit<DownloadOptions, "maxBytes" | "onProgress"> {
  /** Address of the hub. */
  readonly hub?: string;
  /** Branch, tag or commit; main when absent. */
  readonly revision?: string;
  readonly onProgress?: (file: string, receivedBytes: number, totalBytes: number) => void;
}

/** What `owner/name:file` names. */
export interface HubName {
  readonly id: string;
  readonly file?: string;
}

const listingSchema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z
    .array(
      z.looseObject({
        rfilename: z.string().min(1).max(1000),
        size: z.int().min(0).optional(),
        blobId: z
          .string()
          .regex(/^[0-9a-f]{40}$/)
          .optional(),
        lfs: z.looseObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) }).nullish(),
      }),
    )
    .max(100_000),
});

/** Plain names separated by slashes: nothing that leaves the folder. */
const plainPath = /^(?!\.)[A-Za-z0-9._+ -]+(\/(?!\.)[A-Za-z0-9._+ -]+)*$/;
const isCheckpoint = (name: string): boolean => /\.(safetensors|pth|pt|ckpt|bin|npz|index\.json)$/.test(name);

/** @throws NextxError HUB_BAD_NAME */
export function parseHubName(text: string): HubName {
  const [, id, file] = /^([A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95})(?::(.+))?$/.exec(text) ?? [];
  if (id !== undefined && (file === undefined || plainPath.test(file)))
    return file === undefined ? { id } : { id, file };
  throw new NextxError("HUB_BAD_NAME", `"${text}" is no name on a hub.`, {
    path: text,
    hint: "Write OWNER/NAME or OWNER/NAME:FILE, such as FoundationVision/var:var_d16.pth",
  });
}

/**
 * The files of a repository.
 * @throws NextxError HUB_BAD_ANSWER, DOWNLOAD_INTERRUPTED, DOWNLOAD_STALLED, ABORTED, and the codes of downloadFile
 */
export async function listHub(id: string, options: HubOptions = {}): Promise<HubListing> {
  const { hub = defaultHub, revision = "main", fetch: get = fetch, signal } = options;
  const url = `${hub}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const bad = (what: string, cause?: unknown) => downloadError("HUB_BAD_ANSWER", url, what, undefined, cause);
  const parts: Uint8Array[] = [];
  const limit = AbortSignal.timeout(listTimeoutMs);
  const either = signal ? AbortSignal.any([signal, limit]) : limit;
  try {
    const question = { url, from: 0, validator: undefined };
    const { body } = await ask(question, get, either);
    let received = 0;
    for await (const part of body) {
      received += part.length;
      if (received > maxListBytes) throw bad(`answers with more than ${maxListBytes} bytes`);
      parts.push(part);
    }
  } catch (error) {
    if (error instanceof TryAgain) throw error.error;
    if (error instanceof NextxError) throw error;
    const hint = "Run it again.";
    if (signal?.aborted) throw new NextxError("ABORTED", "The listing was cancelled.", { cause: error });
    if (limit.aborted)
      throw downloadError("DOWNLOAD_STALLED", url, `did not answer within ${listTimeoutMs} ms`, hint, error);
    throw downloadError("DOWNLOAD_INTERRUPTED", url, `was cut off (${reasonOf(error)})`, hint, error);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (cause) {
    throw bad("does not answer with JSON", cause);
  }
  const parsed = listingSchema.safeParse(json);
  if (!parsed.success)
    throw bad(`answers with something else: ${parsed.error.issues[0]?.message}`, parsed.error);
  const files = parsed.data.siblings.flatMap(({ rfilename: name, size, blobId, lfs }): HubFile[] => {
    if (lfs) return [{ name, sizeBytes: lfs.size, sha256: lfs.sha256 }];
    return size === undefined || blobId === undefined ? [] : [{ name, sizeBytes: size, gitSha1: blobId }];
  });
  return { id, commit: parsed.data.sha, files };
}

function fileOf({ id, files }: HubListing, name: string): HubFile {
  const file = files.find((one) => one.name === name);
  const names = files.map((one) => one.name);
  if (!file) {
    throw new NextxError("HUB_NO_FILE", `${id} has no file "${name}".`, {
      path: name,
      hint: suggestion(name, names),
    });
  }
  if (plainPath.test(name)) return file;
  throw new NextxError("HUB_BAD_NAME", `${id} names a file ${JSON.stringify(name)}.`, { path: name });
}

/** The named file, or the only checkpoint there is. */
function chosen(listing: HubListing, { id, file }: HubName): HubFile {
  if (file !== undefined) return fileOf(listing, file);
  const all = listing.files.filter(({ name }) => isCheckpoint(name)).map(({ name }) => name);
  const indexes = all.filter((name) => name.endsWith(".index.json"));
  const [only, ...more] = indexes.length > 0 ? indexes : all;
  if (only !== undefined && more.length === 0) return fileOf(listing, only);
  throw new NextxError("HUB_CHOOSE", `${id} has ${all.length} checkpoints.`, {
    path: id,
    hint:
      only === undefined
        ? "Name a file: OWNER/NAME:FILE."
        : `Name one: ${all
            .slice(0, 20)
            .map((name) => `${id}:${name}`)
            .join(" ")}`,
  });
}

/** @throws NextxError FILE_ codes: something is there that cannot be read */
async function isThere(path: string, { sizeBytes, sha256, gitSha1 }: HubFile): Promise<boolean> {
  if (!existsSync(path) || statSync(path).size !== sizeBytes) return false;
  const hash = createHash(sha256 === undefined ? "sha1" : "sha256");
  if (sha256 === undefined) hash.update(`blob ${sizeBytes}\0`);
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch (cause) {
    throw fileError(cause, path, "read");
  }
  return hash.digest("hex") === (sha256 ?? gitSha1);
}

/**
 * Downloads a file (and, of an index, the files that it names) into a folder, under the repository's own names. Files that
 * are there and right are kept. Returns their paths, the named one first.
 * @throws NextxError HUB_BAD_NAME, HUB_NO_FILE, HUB_CHOOSE, HUB_BAD_ANSWER, SHARDS_ codes, and the codes of downloadFile
 */
export async function pullFromHub(text: string, folder: string, options: HubOptions = {}): Promise<string[]> {
  const name = parseHubName(text);
  const listing = await listHub(name.id, options);
  const get = async (file: HubFile): Promise<string> => {
    const path = join(folder, ...file.name.split("/"));
    if (await isThere(path, file)) return path;
    const { hub = defaultHub, revision: _, onProgress, ...rest } = options;
    const address = file.name.split("/").map(encodeURIComponent).join("/");
    const { sizeBytes, sha256, gitSha1 } = file;
    const url = `${hub}/${name.id}/resolve/${listing.commit}/${address}`;
    const checksum = sha256 !== undefined ? { sha256 } : { gitSha1: gitSha1 as string }; // one of them is there
    await downloadFile(
      { url, path, sizeBytes, ...checksum },
      {
        ...rest,
        maxBytes: sizeBytes,
        onProgress: ({ receivedBytes }) => onProgress?.(file.name, receivedBytes, sizeBytes),
      },
    );
    return path;
  };
  const first = chosen(listing, name);
  const paths = [await get(first)];
  if (!first.name.endsWith(".index.json") || first.sizeBytes > maxIndexBytes) return paths;
  const index = parseShardIndex(await readFile(paths[0] as string), first.name); // downloaded just now
  const below = dirname(first.name);
  for (const shard of new Set(index?.values() ?? []))
    paths.push(await get(fileOf(listing, below === "." ? shard : `${below}/${shard}`)));
  return paths;
}

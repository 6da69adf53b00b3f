/**
 * Checkpoints by path, whatever their container: .safetensors (also in several files with an index), PyTorch files, .npz.
 * The content decides, never the file's name. Only structure is read at once; tensors come one by one, so files may be
 * larger than memory. Links, as hub caches use them, are followed: files of an index lie beside the path that was given.
 */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { NextxError } from "../tensor/errors.ts";
import { fileError } from "./durableLayer.node.ts";
import { type FileKind, fileKind, kindBytes } from "./fileKind.ts";
import { isNpz, openNpz } from "./npz.ts";
import { type OpenedFile, openFile } from "./openFile.node.ts";
import { openPth } from "./pth.ts";
import { openSafetensors } from "./safetensors.node.ts";
import { maxIndexBytes, parseShardIndex } from "./shards.ts";
import { readEach, type TensorDict, type TensorForm } from "./tensorFile.ts";
import { readZipDirectory } from "./zipDirectory.ts";

/** An open checkpoint; close it, or use `await using`. */
export interface TensorFile extends AsyncDisposable {
  /** The file as it was given; of a folder, the one that was found in it. */
  readonly path: string;
  readonly format: "safetensors" | "sharded" | "pth" | "npz";
  /** Of all its files. */
  readonly sizeBytes: number;
  /** Every dict that holds tensors; one with the key "" but for .pth. */
  readonly dicts: readonly TensorDict[];
  /** The dict of a key, or the only one. @throws NextxError CHECKPOINT_NO_KEY, PTH_KEY_NEEDED, PTH_NO_KEY, PTH_NO_TENSORS */
  dict(key?: string): TensorDict;
  /** Metadata of safetensors; empty for others. */
  readonly metadata: ReadonlyMap<string, string>;
  close(): Promise<void>;
}

/**
 * Opens a file, an index of files, or a folder that holds one of either.
 * @throws NextxError CHECKPOINT_WRONG_KIND (a picture, a web page, a Git LFS pointer, ...), CHECKPOINT_FOLDER,
 * SHARDS_ codes, the codes of openFile, parseHeader, openPth, openNpz
 */
export async function openTensors(path: string): Promise<TensorFile> {
  return openOne((await checkpointIn(path)) ?? path, indexFile);
}

/** Opens a file; what JSON text is, the caller says. */
async function openOne(
  path: string,
  json: (file: OpenedFile, kind: FileKind) => Promise<TensorFile>,
): Promise<TensorFile> {
  const file = await openFile(path);
  try {
    const kind = fileKind(await file.read(0, Math.min(kindBytes, file.sizeBytes)));
    switch (kind.kind) {
      case "safetensors":
        await file.close();
        return await safetensorsFile(path);
      case "zip":
        return await zipFile(file);
      case "pickle":
        return await pthFile(file);
      case "json":
        return await json(file, kind);
      case "other":
        throw wrongKind(path, kind);
      default:
        return kind.kind satisfies never;
    }
  } catch (error) {
    await file.close();
    throw error;
  }
}

function wrongKind(path: string, { words, hint }: FileKind): NextxError {
  return new NextxError("CHECKPOINT_WRONG_KIND", `${path} is ${words}, not a checkpoint.`, {
    path,
    hint: hint ?? "Checkpoints are .safetensors files, .pth files written by torch.save, or .npz archives.",
  });
}

const isIndex = (name: string): boolean => name.endsWith(".index.json");
const isCheckpoint = (name: string): boolean => /\.(safetensors|pth|pt|ckpt|bin|npz)$/.test(name);

/** The checkpoint of a folder: its only index, else its only checkpoint; undefined when the path is no folder. */
async function checkpointIn(path: string): Promise<string | undefined> {
  const names = await readdir(path).catch((cause: unknown) => {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOTDIR" || code === "ENOENT") return undefined; // opening it says which
    throw fileError(cause, path, "read");
  });
  if (names === undefined) return undefined;
  const indexes = names.filter(isIndex);
  const candidates = indexes.length > 0 ? indexes : names.filter(isCheckpoint);
  const [only, ...more] = candidates.sort();
  if (only !== undefined && more.length === 0) return join(path, only);
  throw new NextxError("CHECKPOINT_FOLDER", `${path} is a folder with ${candidates.length} checkpoints.`, {
    path,
    hint: only === undefined ? "Name a file." : `Name one: ${candidates.slice(0, 10).join(", ")}.`,
  });
}

/** A file with one dict and no keys. */
function plainFile(
  base: Pick<TensorFile, "path" | "format" | "sizeBytes" | "close">,
  dict: TensorDict,
  metadata: ReadonlyMap<string, string> = new Map(),
): TensorFile {
  return {
    ...base,
    dicts: [dict],
    dict: (key = "") => {
      if (key === "") return dict;
      throw new NextxError("CHECKPOINT_NO_KEY", `${base.path} has no nested dicts, so no dict "${key}".`, {
        path: base.path,
        hint: "Leave the key out.",
      });
    },
    metadata,
    [Symbol.asyncDispose]: base.close,
  };
}

async function safetensorsFile(path: string): Promise<TensorFile> {
  const file = await openSafetensors(path);
  const { tensors, read, close, sizeBytes, metadata } = file;
  const dict = { key: "", tensors, skipped: [], read, readAll: () => readEach({ tensors, read }) };
  return plainFile({ path, format: "safetensors", sizeBytes, close }, dict, metadata);
}

async function zipFile(file: OpenedFile): Promise<TensorFile> {
  const { path, sizeBytes, close } = file;
  const entries = await readZipDirectory(file, { deflate: true });
  return isNpz(entries.keys())
    ? plainFile({ path, format: "npz", sizeBytes, close }, await openNpz(file))
    : pthFile(file);
}

async function pthFile(file: OpenedFile): Promise<TensorFile> {
  const { path, sizeBytes, close } = file;
  const pth = await openPth(file);
  const [dicts, metadata] = [pth.stateDicts(), new Map<string, string>()];
  const dict = (key?: string) => pth.stateDict(key);
  return { path, format: "pth", sizeBytes, dicts, dict, metadata, close, [Symbol.asyncDispose]: close };
}

async function indexFile(file: OpenedFile, kind: FileKind): Promise<TensorFile> {
  const { path, sizeBytes } = file;
  if (sizeBytes > maxIndexBytes) throw wrongKind(path, kind);
  const index = parseShardIndex(await file.read(0, sizeBytes), path);
  await file.close();
  if (index === undefined) throw wrongKind(path, kind);
  const shards = new Map<string, TensorFile>();
  const close = async () => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    for (const name of new Set(index.values())) shards.set(name, await openShard(path, name));
    const dict = joinShards(path, index, shards);
    const total = [...shards.values()].reduce((sum, shard) => sum + shard.sizeBytes, 0);
    return plainFile({ path, format: "sharded", sizeBytes: total, close }, dict);
  } catch (error) {
    await close();
    throw error;
  }
}

async function openShard(indexPath: string, name: string): Promise<TensorFile> {
  const path = join(dirname(indexPath), name);
  try {
    return await openOne(path, async () => {
      throw new NextxError("SHARDS_BAD_INDEX", `${indexPath} names ${name}, which is an index again.`, {
        path: name,
      });
    });
  } catch (error) {
    if (!(error instanceof NextxError) || error.code !== "FILE_NOT_FOUND") throw error;
    throw new NextxError("SHARDS_MISSING_FILE", `${indexPath} needs ${name}, which is not beside it.`, {
      path: name,
      hint: "Download the missing file too.",
      cause: error,
    });
  }
}

/** One dict over all files; each holds exactly what the index says. */
function joinShards(
  path: string,
  index: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, TensorFile>,
): TensorDict {
  const places = new Map<string, TensorDict>();
  const tensors = new Map<string, TensorForm>();
  for (const [file, shard] of shards) {
    const dict = shard.dict();
    for (const [name, form] of dict.tensors) {
      if (index.get(name) !== file)
        throw contradiction(path, file, `holds "${name}"`, "does not say so", name);
      places.set(name, dict);
      tensors.set(name, form);
    }
  }
  for (const [name, file] of index) {
    if (!tensors.has(name)) throw contradiction(path, file, `lacks "${name}"`, "says it holds it", name);
  }
  const read = (name: string) => {
    const dict = places.get(name);
    if (dict) return dict.read(name);
    throw new NextxError("SHARDS_NO_TENSOR", `${path} has no tensor "${name}".`, { path: name });
  };
  return { key: "", tensors, skipped: [], read, readAll: () => readEach({ tensors, read }) };
}

function contradiction(path: string, file: string, does: string, says: string, name: string): NextxError {
  return new NextxError("SHARDS_CONTRADICT", `${file} ${does}, but the index ${path} ${says}.`, {
    path: name,
    hint: "Index and files are of different versions: get them again.",
  });
}

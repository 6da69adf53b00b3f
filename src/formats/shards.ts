/**
 * The index of a checkpoint in several files, `*.index.json`: which file holds which tensor. Only names of files beside the
 * index count; paths are refused.
 * Source: huggingface_hub, `serialization/_base.py` (`StateDictSplit`), the file that `save_pretrained` writes.
 */
import { NextxError } from "../tensor/errors.ts";
import { isJsonObject, parseStrictJson } from "./strictJson.ts";

export const maxIndexBytes: number = 2 ** 26;
const maxShards = 1000;
const maxTensors = 100_000;
const plainName = /^(?!\.)[A-Za-z0-9._-]{1,200}$/;

function bad(path: string, what: string): NextxError {
  return new NextxError("SHARDS_BAD_INDEX", `${path} ${what}.`, {
    path,
    hint: "Get a fresh copy of the index and of all its files.",
  });
}

/**
 * File name by tensor name; undefined when the JSON is no index at all.
 * @throws NextxError SHARDS_BAD_INDEX, SHARDS_BAD_NAME
 */
export function parseShardIndex(bytes: Uint8Array, path: string): ReadonlyMap<string, string> | undefined {
  let json: unknown;
  try {
    json = parseStrictJson(bytes, { maxDepth: 16, maxMembers: maxTensors, maxValues: 2 * maxTensors });
  } catch (cause) {
    if (!(cause instanceof NextxError)) throw cause;
    throw new NextxError("SHARDS_BAD_INDEX", `${path} is no index: ${cause.message}`, { path, cause });
  }
  const map = json instanceof Map ? json.get("weight_map") : undefined;
  if (map === undefined) return undefined;
  if (!isJsonObject(map)) throw bad(path, "has a weight_map that is not an object");
  const shards = new Map<string, string>();
  for (const [name, file] of map) {
    if (typeof file !== "string") throw bad(path, `gives no file for "${name.slice(0, 100)}"`);
    if (!plainName.test(file)) {
      throw new NextxError(
        "SHARDS_BAD_NAME",
        `${path} names the file ${JSON.stringify(file.slice(0, 200))}.`,
        {
          path: name,
          hint: "Files of an index lie beside it, under plain names.",
        },
      );
    }
    shards.set(name, file);
  }
  if (shards.size === 0) throw bad(path, "names no tensor");
  if (new Set(shards.values()).size > maxShards) throw bad(path, `names more than ${maxShards} files`);
  return shards;
}

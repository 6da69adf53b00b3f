/**
 * Float32 tensors that stay in their file: a runtime that opens files reads them itself, everything else reads them when it
 * asks for their data. So a model larger than memory can be looked at, and its weights are never held twice.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { FileBacked, FileRange } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { fileError } from "./durableLayer.node.ts";
import type { SafetensorsFile } from "./safetensors.node.ts";

/** One system call takes less than 2 GiB. */
const chunkBytes = 2 ** 28;

export class FileValue implements FileBacked {
  readonly shape: readonly number[];
  readonly source: FileRange;
  readonly #path: string;
  readonly #fileBytes: number;

  /** `file` is open and checked; its path has no links in it. @throws NextxError SAFETENSORS_NO_TENSOR */
  constructor(file: Pick<SafetensorsFile, "path" | "sizeBytes" | "tensors">, name: string) {
    const info = file.tensors.get(name);
    if (info === undefined || info.dtype !== "F32")
      throw new NextxError("SAFETENSORS_NO_TENSOR", `${file.path} has no float32 "${name}".`, { path: name });
    const path = resolve(file.path);
    this.#path = path;
    this.#fileBytes = file.sizeBytes;
    this.shape = info.shape;
    const { offset, sizeBytes } = info;
    this.source = { folder: dirname(path), name: basename(path), offset, sizeBytes };
  }

  /** Read anew each time. @throws NextxError FILE_CHANGED, and the codes of opening a file */
  get data(): Float32Array<ArrayBuffer> {
    const { offset, sizeBytes } = this.source;
    const out = new Float32Array(sizeBytes / 4);
    const bytes = new Uint8Array(out.buffer);
    try {
      const handle = openSync(this.#path, "r");
      try {
        if (fstatSync(handle).size !== this.#fileBytes) throw changed(this.#path);
        for (let filled = 0; filled < sizeBytes; ) {
          const want = Math.min(chunkBytes, sizeBytes - filled);
          const read = readSync(handle, bytes, filled, want, offset + filled);
          if (read === 0) throw changed(this.#path);
          filled += read;
        }
      } finally {
        closeSync(handle);
      }
    } catch (error) {
      throw fileError(error, this.#path, "read");
    }
    return out;
  }
}

const changed = (path: string): NextxError =>
  new NextxError("FILE_CHANGED", `${path} is not the file that was opened.`, {
    path,
    hint: "Keep a model's file as it is while it is in use.",
  });

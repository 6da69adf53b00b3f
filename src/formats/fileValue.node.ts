/**
 * Float tensors that stay in their file: a runtime that opens files reads them itself, everything else reads them when it
 * asks for their data. So a model larger than memory can be looked at, and its weights are never held twice.
 */
import { type BigIntStats, closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { type FileBacked, type FileRange, type StoredType, storedBytes } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { fileError } from "./durableLayer.node.ts";
import { type DType, toFloat32, viewTensor } from "./hostTensor.ts";
import type { SafetensorsFile } from "./safetensors.node.ts";

/** One system call takes less than 2 GiB. */
const chunkBytes = 2 ** 28;

/** Those that a runtime reads from a file by itself. */
const storedTypes: Partial<Record<DType, StoredType>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** What tells a file from another one in its place, and from itself when it was written to. */
const stampOf = ({ size, ino, mtimeNs }: BigIntStats): string => `${size} ${ino} ${mtimeNs}`;

type OpenFile = Pick<SafetensorsFile, "path" | "sizeBytes" | "tensors">;

export class FileValue implements FileBacked {
  readonly shape: readonly number[];
  readonly source: FileRange;
  readonly #path: string;
  readonly #dtype: DType;
  readonly #stamp: string;

  /** Whether a tensor of the file can stay there: floats of at most 32 bits, aligned. */
  static fits({ tensors }: OpenFile, name: string): boolean {
    const info = tensors.get(name);
    const stored = info && storedTypes[info.dtype];
    return stored !== undefined && info !== undefined && info.offset % storedBytes[stored] === 0;
  }

  /** `file` is open and checked; its path has no links in it. @throws NextxError SAFETENSORS_NO_TENSOR, FILE_CHANGED */
  constructor(file: OpenFile, name: string) {
    const info = file.tensors.get(name);
    const stored = info && storedTypes[info.dtype];
    if (info === undefined || stored === undefined)
      throw new NextxError("SAFETENSORS_NO_TENSOR", `${file.path} has no float "${name}".`, { path: name });
    const path = resolve(file.path);
    this.#path = path;
    this.#dtype = info.dtype;
    const stats = statSync(path, { bigint: true });
    if (stats.size !== BigInt(file.sizeBytes)) throw changed(path);
    this.#stamp = stampOf(stats);
    this.shape = info.shape;
    const { offset, sizeBytes } = info;
    this.source = { stored, folder: dirname(path), name: basename(path), offset, sizeBytes };
  }

  /** @throws NextxError FILE_CHANGED, and the codes of opening a file */
  requireSame(): void {
    try {
      if (stampOf(statSync(this.#path, { bigint: true })) !== this.#stamp) throw changed(this.#path);
    } catch (error) {
      throw fileError(error, this.#path, "read");
    }
  }

  /** Read anew each time. @throws NextxError FILE_CHANGED, and the codes of opening a file */
  get data(): Float32Array {
    const { offset, sizeBytes } = this.source;
    const bytes = new Uint8Array(sizeBytes);
    try {
      const handle = openSync(this.#path, "r");
      try {
        if (stampOf(fstatSync(handle, { bigint: true })) !== this.#stamp) throw changed(this.#path);
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
    return toFloat32(viewTensor(this.#dtype, this.shape, bytes));
  }
}

const changed = (path: string): NextxError =>
  new NextxError("FILE_CHANGED", `${path} is not the file that was opened.`, {
    path,
    hint: "Keep a model's file as it is while it is in use.",
  });

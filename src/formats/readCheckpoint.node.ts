/** Reads a checkpoint whatever its container; the content decides, never the file's name. */
import { NextxError } from "../tensor/errors.ts";
import { fileKind, kindBytes } from "./fileKind.ts";
import type { HostTensor } from "./hostTensor.ts";
import { openFile } from "./openFile.node.ts";
import { openPth } from "./pth.ts";
import { openSafetensors } from "./safetensors.node.ts";

/** What a checkpoint holds. */
export interface Checkpoint {
  readonly format: "safetensors" | "pth";
  readonly tensors: Map<string, HostTensor>;
  /** Metadata of safetensors; empty for .pth. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Entries of a .pth dict that are no tensors and were left out. */
  readonly skipped: readonly string[];
}

export interface ReadCheckpointOptions {
  /** Which dict of a .pth with several, keys joined by dots, for example `trainer.var_wo_ddp`. */
  readonly key?: string;
}

/**
 * All tensors of a .safetensors or PyTorch file, with what else it says.
 * @throws NextxError CHECKPOINT_WRONG_KIND (a picture, a web page, a Git LFS pointer, ...), CHECKPOINT_NO_KEY (a key for a
 * file without nesting), the codes of openFile, parseHeader, openPth and its state dicts
 */
export async function openCheckpoint(path: string, { key }: ReadCheckpointOptions = {}): Promise<Checkpoint> {
  const file = await openFile(path);
  try {
    const { kind, words, hint } = fileKind(await file.read(0, Math.min(kindBytes, file.sizeBytes)));
    if (kind === "safetensors") return await readAllSafetensors(path, key);
    if (kind === "other") {
      throw new NextxError("CHECKPOINT_WRONG_KIND", `${path} is ${words}, not a checkpoint.`, {
        path,
        hint: hint ?? "Checkpoints are .safetensors files, or .pth files written by torch.save.",
      });
    }
    const dict = (await openPth(file)).stateDict(key);
    const { skipped } = dict;
    return { format: "pth", tensors: await dict.readAll(), metadata: new Map(), skipped };
  } finally {
    await file.close();
  }
}

/** The tensors alone; see `openCheckpoint`. */
export async function readCheckpoint(
  path: string,
  options: ReadCheckpointOptions = {},
): Promise<Map<string, HostTensor>> {
  return (await openCheckpoint(path, options)).tensors;
}

async function readAllSafetensors(path: string, key: string | undefined): Promise<Checkpoint> {
  if (key !== undefined && key !== "") {
    throw new NextxError("CHECKPOINT_NO_KEY", `${path} is a safetensors file: it has no dict "${key}".`, {
      path,
      hint: "Leave the key out.",
    });
  }
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, HostTensor>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
    return { format: "safetensors", tensors, metadata: file.metadata, skipped: [] };
  } finally {
    await file.close();
  }
}

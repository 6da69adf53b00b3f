/** Reads a whole checkpoint into memory, whatever its container; `openTensors` reads tensors one by one. */
import type { HostTensor } from "./hostTensor.ts";
import { openTensors, type TensorFile } from "./tensorFile.node.ts";

/** What a checkpoint holds. */
export interface Checkpoint {
  readonly format: TensorFile["format"];
  readonly tensors: Map<string, HostTensor>;
  /** Metadata of safetensors; empty for others. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Entries of a .pth dict that are no tensors and were left out. */
  readonly skipped: readonly string[];
}

export interface ReadCheckpointOptions {
  /** Which dict of a .pth with several, keys joined by dots, for example `trainer.var_wo_ddp`. */
  readonly key?: string;
}

/**
 * All tensors of a file, with what else it says.
 * @throws NextxError the codes of openTensors and of its dicts
 */
export async function openCheckpoint(path: string, { key }: ReadCheckpointOptions = {}): Promise<Checkpoint> {
  await using file = await openTensors(path);
  const dict = file.dict(key);
  const { format, metadata } = file;
  return { format, tensors: await dict.readAll(), metadata, skipped: dict.skipped };
}

/** The tensors alone; see `openCheckpoint`. */
export async function readCheckpoint(
  path: string,
  options: ReadCheckpointOptions = {},
): Promise<Map<string, HostTensor>> {
  return (await openCheckpoint(path, options)).tensors;
}

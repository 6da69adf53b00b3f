/** What every checkpoint reader gives: dicts of named tensors whose data are read one by one, when they are asked for. */
import type { DType, HostTensor } from "./hostTensor.ts";

/** What a file says about one tensor. */
export interface TensorForm {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Named tensors of an open file. */
export interface TensorDict {
  /** Keys joined by dots where a file nests its dicts; empty for the root. */
  readonly key: string;
  readonly tensors: ReadonlyMap<string, TensorForm>;
  /** Names of entries that are no tensors (numbers, text, nested dicts): left out. */
  readonly skipped: readonly string[];
  /** One tensor's data. Errors: the reader's codes. */
  read(name: string): Promise<HostTensor>;
  /** All of them. Errors: the reader's codes. */
  readAll(): Promise<Map<string, HostTensor>>;
}

/** Reads all tensors of a dict, one after another. */
export async function readEach({
  tensors,
  read,
}: Pick<TensorDict, "tensors" | "read">): Promise<Map<string, HostTensor>> {
  const all = new Map<string, HostTensor>();
  for (const name of tensors.keys()) all.set(name, await read(name));
  return all;
}

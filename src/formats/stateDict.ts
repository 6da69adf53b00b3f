/** Finds the dict of tensors that is wanted among the nested dicts of a checkpoint. */
import { NextxError } from "../tensor/errors.ts";
import { PickleDict, PickleList, PickleTuple, type PickleValue } from "./pickle.ts";
import { TorchTensor } from "./torchPickle.ts";

/** One dict that holds tensors, with what else it holds. */
export interface StateDict {
  /** Keys joined by dots; empty for the file's root. */
  readonly key: string;
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** Entries that are no tensors. */
  readonly skipped: readonly string[];
}

const maxDepth = 32;
const maxCandidates = 10_000;

/** All dicts that hold at least one tensor directly, the root first. */
export function stateDicts(root: PickleValue): StateDict[] {
  const found: StateDict[] = [];
  const seen = new Set<PickleValue>();
  const visit = (value: PickleValue, path: readonly string[]) => {
    if (path.length > maxDepth || seen.has(value) || found.length >= maxCandidates) return;
    if (value instanceof PickleDict) {
      seen.add(value);
      const dict = asStateDict(value, path.join("."));
      if (dict.tensors.size > 0) found.push(dict);
      for (const [key, item] of value.entries) visit(item, [...path, String(key)]);
    } else if (value instanceof PickleList || value instanceof PickleTuple) {
      seen.add(value);
      for (const [i, item] of value.items.entries()) visit(item, [...path, String(i)]);
    }
  };
  visit(root, []);
  return found;
}

function asStateDict(dict: PickleDict, key: string): StateDict {
  const tensors = new Map<string, TorchTensor>();
  const skipped: string[] = [];
  for (const [name, value] of dict.entries) {
    if (!(value instanceof TorchTensor)) skipped.push(String(name));
    else if (tensors.has(String(name))) throw duplicate(String(name));
    else tensors.set(String(name), value);
  }
  return { key, tensors, skipped };
}

function duplicate(name: string): NextxError {
  return new NextxError("PTH_DUPLICATE_NAME", `Two tensors are named "${name}".`, { path: name });
}

/**
 * The dict named by `key` (dots join nested keys, "" is the root); without a key the only one there is.
 * @throws NextxError PTH_NO_TENSORS, PTH_KEY_NEEDED (several; the hint lists them), PTH_NO_KEY (none of that name)
 */
export function selectStateDict(root: PickleValue, key: string | undefined, path: string): StateDict {
  const candidates = stateDicts(root);
  if (candidates.length === 0) {
    throw new NextxError("PTH_NO_TENSORS", `${path} holds no dict of tensors.`, {
      path,
      hint: "Save a state dict: torch.save(model.state_dict(), path).",
    });
  }
  const [only] = candidates;
  if (key === undefined && only && candidates.length === 1) return only;
  const chosen = candidates.filter((candidate) => candidate.key === key);
  if (chosen.length === 1 && chosen[0]) return chosen[0];
  const listed = candidates
    .slice(0, 20)
    .map((candidate) => `"${candidate.key}" (${candidate.tensors.size} tensors)`)
    .join(", ");
  const hint = `Give one as key: ${listed}${candidates.length > 20 ? ", ..." : ""}.`;
  if (key === undefined) {
    throw new NextxError("PTH_KEY_NEEDED", `${path} holds ${candidates.length} dicts of tensors.`, {
      path,
      hint,
    });
  }
  throw new NextxError("PTH_NO_KEY", `${path} has no one dict of tensors at "${key}".`, { path, hint });
}

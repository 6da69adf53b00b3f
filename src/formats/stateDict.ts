/** Finds the dict of tensors that is wanted among the nested dicts of a checkpoint. */
import { NextxError } from "../tensor/errors.ts";
import { PickleDict, type PickleKey, PickleList, PickleTuple, type PickleValue } from "./pickleValues.ts";
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
/** As many as a safetensors file may have. */
const maxTensors = 100_000;
/** Characters of one key on the way to a dict or tensor, and of all dicts' joined keys and names. */
const maxKeyLength = 4096;
const maxKeysLength = 2 ** 26;

/**
 * All dicts that hold at least one tensor directly, the root first.
 * @throws NextxError PTH_DUPLICATE_NAME, PTH_TOO_LARGE (their keys and names)
 */
export function stateDicts(root: PickleValue): StateDict[] {
  const found: StateDict[] = [];
  const seen = new Set<PickleValue>();
  const path: string[] = [];
  let keysLength = 0;
  const keep = (dict: Omit<StateDict, "key">) => {
    const long = path.find((key) => key.length > maxKeyLength);
    if (long !== undefined) throw tooLarge(`has a key of ${long.length} characters`, long);
    keysLength += path.reduce((sum, key) => sum + key.length + 1, 0);
    for (const name of dict.tensors.keys()) keysLength += name.length;
    if (keysLength > maxKeysLength) throw tooLarge("has keys of more than 64 MB in all", path[0] ?? "");
    if (found.length >= maxCandidates) throw tooLarge(`has more than ${maxCandidates} dicts`, path[0] ?? "");
    found.push({ key: path.join("."), ...dict });
  };
  const below = (items: Iterable<readonly [PickleKey, PickleValue]>) => {
    for (const [key, item] of items) {
      path.push(String(key));
      visit(item);
      path.pop();
    }
  };
  const visit = (value: PickleValue) => {
    if (path.length > maxDepth || seen.has(value)) return;
    if (value instanceof PickleDict) {
      seen.add(value);
      const dict = tensorsOf(value);
      if (dict.tensors.size > 0) keep(dict);
      below(value.entries);
    } else if (value instanceof PickleList || value instanceof PickleTuple) {
      seen.add(value);
      below(value.items.entries());
    }
  };
  visit(root);
  return found;
}

function tensorsOf(dict: PickleDict): Omit<StateDict, "key"> {
  const tensors = new Map<string, TorchTensor>();
  const skipped: string[] = [];
  for (const [name, value] of dict.entries) {
    if (!(value instanceof TorchTensor)) skipped.push(String(name));
    else if (String(name).length > maxKeyLength)
      throw tooLarge(`has a name of ${String(name).length} characters`, String(name));
    else if (tensors.has(String(name))) throw duplicate(String(name));
    else if (tensors.size >= maxTensors) throw tooLarge(`has more than ${maxTensors} tensors in one`, "");
    else tensors.set(String(name), value);
  }
  return { tensors, skipped };
}

function duplicate(name: string): NextxError {
  return new NextxError("PTH_DUPLICATE_NAME", `Two tensors are named "${name}".`, { path: name });
}

function tooLarge(what: string, key: string): NextxError {
  return new NextxError("PTH_TOO_LARGE", `The nesting of dicts ${what}.`, {
    path: key.slice(0, 200),
    hint: "In Python, save the state dict alone: torch.save(model.state_dict(), path).",
  });
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

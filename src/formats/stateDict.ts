/** Finds the dict of tensors that is wanted among the nested dicts of a checkpoint. */
import { NextxError } from "../tensor/errors.ts";
import { PickleDict, type PickleKey, PickleList, PickleTuple, type PickleValue } from "./pickleValues.ts";
import { TorchTensor } from "./torchPickle.ts";

/** One dict that holds tensors, with what else it holds. */
export interface StateDict {
  /** Keys joined by dots; empty for the file's root. Where two are the same, the second ends in `#2`. */
  readonly key: string;
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** Entries that are no tensors. */
  readonly skipped: readonly string[];
}

/** As deep as a pickle nests what it writes at one go. */
const maxDepth = 256;
const maxCandidates = 10_000;
/** As many as a safetensors file may have. */
const maxTensors = 100_000;
/** Of all dicts, one that is there under several keys counted each time. */
const maxAllTensors = 1_000_000;
/** Characters of one key on the way to a dict or tensor, of those of a dict joined, and of all dicts' joined keys and names. */
const maxKeyLength = 4096;
const maxJoinedLength = 10_000; // engines compare longer text letter by letter in sets
const maxKeysLength = 2 ** 26;

/**
 * All dicts that hold at least one tensor directly, the root first; one that is there under several keys under each.
 * @throws NextxError PTH_DUPLICATE_NAME, PTH_TOO_LARGE (their keys and names), PTH_TOO_DEEP
 */
export function stateDicts(root: PickleValue): StateDict[] {
  const found: StateDict[] = [];
  const ways = waysToTensors(root);
  const contents = new Map<PickleDict, Omit<StateDict, "key">>();
  const path: string[] = [];
  const distinct = distinctKeys();
  let [keysLength, allTensors] = [0, 0];
  const keep = (dict: Omit<StateDict, "key">) => {
    const long = path.find((key) => key.length > maxKeyLength);
    if (long !== undefined) throw tooLarge(`has a key of ${long.length} characters`, long);
    allTensors += dict.tensors.size;
    if (allTensors > maxAllTensors) throw tooLarge(`has more than ${maxAllTensors} tensors`, path[0] ?? "");
    const joined = path.reduce((sum, key) => sum + key.length + 1, 0);
    if (joined > maxJoinedLength) throw tooLarge(`has nested keys of ${joined} characters`, path[0] ?? "");
    keysLength += joined;
    for (const name of dict.tensors.keys()) keysLength += name.length;
    if (keysLength > maxKeysLength) throw tooLarge("has keys of more than 64 MB in all", path[0] ?? "");
    if (found.length >= maxCandidates) throw tooLarge(`has more than ${maxCandidates} dicts`, path[0] ?? "");
    found.push({ key: distinct(path.join(".")), ...dict });
  };
  const visit = (value: PickleValue) => {
    if (path.length > maxDepth) throw tooDeep();
    if (value instanceof PickleDict) {
      const dict = contents.get(value) ?? tensorsOf(value);
      contents.set(value, dict);
      if (dict.tensors.size > 0) keep(dict);
    }
    for (const [key, item] of ways.get(value) ?? []) {
      path.push(String(key));
      visit(item);
      path.pop();
    }
  };
  if (ways.has(root)) visit(root);
  return found;
}

type Entry = readonly [PickleKey, PickleValue];

/**
 * Of dicts, lists and tuples that lead to dicts of tensors, the entries that do. Each is looked at once, however often it is
 * there; the way back of one that holds itself is left out, so that ways end.
 */
function waysToTensors(root: PickleValue): ReadonlyMap<PickleValue, readonly Entry[]> {
  const ways = new Map<PickleValue, readonly Entry[]>();
  const seen = new Set<PickleValue>();
  const leads = (value: PickleValue, depth: number): boolean => {
    const isDict = value instanceof PickleDict;
    if (!isDict && !(value instanceof PickleList) && !(value instanceof PickleTuple)) return false;
    if (seen.has(value)) return ways.has(value);
    if (depth > maxDepth) throw tooDeep();
    seen.add(value);
    const entries: Iterable<Entry> = isDict ? value.entries : value.items.entries();
    const on: Entry[] = [];
    let holdsTensor = false;
    for (const entry of entries) {
      if (entry[1] instanceof TorchTensor) holdsTensor ||= isDict;
      else if (leads(entry[1], depth + 1)) on.push(entry);
    }
    if (holdsTensor || on.length > 0) ways.set(value, on);
    return ways.has(value);
  };
  leads(root, 0);
  return ways;
}

/** Keys with dots may look like nested ones: gives what was given before a number. */
function distinctKeys(): (key: string) => string {
  const given = new Set<string>();
  const counts = new Map<string, number>();
  return (key) => {
    let [own, count] = [key, counts.get(key) ?? 1];
    while (given.has(own)) own = `${key}#${++count}`;
    counts.set(key, count);
    given.add(own);
    return own;
  };
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

function tooDeep(): NextxError {
  return new NextxError("PTH_TOO_DEEP", `The file nests dicts more than ${maxDepth} deep.`, {
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
  const chosen = candidates.find((candidate) => candidate.key === key);
  if (chosen) return chosen;
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
  throw new NextxError("PTH_NO_KEY", `${path} has no dict of tensors at "${key}".`, { path, hint });
}

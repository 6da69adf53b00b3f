/**
 * Finds the parts of published models in the dicts of checkpoints, whatever wrappers stand before their names, and says of
 * every tensor what becomes of it. Nothing is read but shapes and small buffers.
 */
import { throwIfAborted } from "../decoding/loop.ts";
import { type HostTensor, isFloat } from "../formats/hostTensor.ts";
import type { TensorDict, TensorForm } from "../formats/tensorFile.ts";
import type { ParameterSpec } from "../nn/scope.ts";
import { NextxError } from "../tensor/errors.ts";
import type { OfficialForm, OfficialPart, Recognised, TensorNames } from "./officialForm.ts";

/** A dict of a file. */
export interface NamedDict {
  readonly file: string;
  readonly dict: TensorDict;
}

/** What becomes of one tensor. */
export interface TensorFate {
  readonly fate: "used" | "renamed" | "derivable" | "missing" | "unexpected" | "wrong shape" | "wrong dtype";
  /** In the file; of a missing one, the name it should have. */
  readonly name: string;
  readonly part: string;
  /** Where it goes in the model file. */
  readonly as?: string;
  readonly shape?: readonly number[];
  /** The shape that the model has. */
  readonly expected?: readonly number[];
  /** Why it is not needed, or what is wrong with it. */
  readonly why?: string;
}

/** A part that was found. */
export interface FoundPart {
  readonly system: string;
  readonly part: OfficialPart;
  readonly file: string;
  readonly dict: TensorDict;
  /** Keys of nested dicts, then prefixes of names: what `--key` chooses by; empty for a bare state dict. */
  readonly key: string;
  readonly section: Recognised["section"];
  readonly unknown?: NonNullable<Recognised["unknown"]>;
  readonly implied: NonNullable<Recognised["implied"]>;
  readonly tensors: PlacedTensors;
  read(name: string): Promise<HostTensor>;
}

/** Form and name in the file. */
export type PlacedTensor = TensorForm & { readonly inFile: string };

/** Tensors of a part by name, in the order of their names: official ones, or ours where the part renames. */
export interface PlacedTensors extends Iterable<readonly [string, PlacedTensor]> {
  readonly size: number;
  get(name: string): PlacedTensor | undefined;
}

/** Wrappers of compiled and sharded modules, anywhere in a name. */
const wrappers = /(^|\.)(_orig_mod|_fsdp_wrapped_module)(?=\.)/g;
const unwrapped = (name: string): string => name.replace(wrappers, "").replace(/^\./, "");

/** A tensor of a dict. */
interface Entry {
  /** Its name without wrappers. */
  readonly plain: string;
  readonly placed: PlacedTensor;
}

/** A dict's tensors in the order of their plain names, so that those below a prefix lie together. */
class PlainNames {
  readonly entries: readonly Entry[];
  readonly #byName: ReadonlyMap<string, PlacedTensor>;

  constructor({ tensors }: TensorDict) {
    const entries = [...tensors].map(([inFile, { dtype, shape }]): Entry => {
      return { plain: unwrapped(inFile), placed: { dtype, shape, inFile } };
    });
    this.entries = entries.sort((a, b) => (a.plain < b.plain ? -1 : Number(a.plain > b.plain)));
    this.#byName = new Map(this.entries.map(({ plain, placed }) => [plain, placed]));
  }

  /** Those below a prefix; nothing is copied. */
  below(prefix: string): PlacedTensors {
    const { entries } = this;
    const from = this.#firstWhere((plain) => plain >= prefix);
    const end = this.#firstWhere((plain) => plain >= prefix && !plain.startsWith(prefix));
    const get = (name: string) => this.#byName.get(prefix + name);
    function* walk(): Generator<readonly [string, PlacedTensor]> {
      for (let i = from; i < end; i++) {
        const { plain, placed } = entries[i] as Entry; // between the two
        yield [plain.slice(prefix.length), placed];
      }
    }
    return { size: end - from, get, [Symbol.iterator]: walk };
  }

  /** The first entry for which what holds for all later ones holds. */
  #firstWhere(holds: (plain: string) => boolean): number {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (holds(this.entries[middle]?.plain ?? "")) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Places of one part in a dict that are looked at. Files may repeat an anchor's name many times: each costs a walk. */
const maxPrefixes = 64;

/** Prefixes before the anchor in the dict's names, the shortest ones: those of wrappers are short. */
function prefixesOf({ entries }: PlainNames, anchor: string): string[] {
  const found = new Set<string>();
  for (const { plain } of entries) {
    if (plain === anchor || plain.endsWith(`.${anchor}`)) found.add(plain.slice(0, -anchor.length));
  }
  return [...found].sort((a, b) => a.length - b.length).slice(0, maxPrefixes);
}

/** Tensors that all looks together may go through: files nest names so that each lies below many prefixes. */
class LookBudget {
  #left: number;

  constructor(dicts: readonly NamedDict[]) {
    this.#left = 4 * dicts.reduce((sum, { dict }) => sum + dict.tensors.size, 0) + 100_000;
  }

  take(count: number, file: string): void {
    this.#left -= count;
    if (this.#left >= 0) return;
    throw new NextxError(
      "CHECKPOINT_TOO_NESTED",
      `${file} nests the names of models in each other too often.`,
      {
        path: file,
        hint: "In Python, save one state dict alone: torch.save(model.state_dict(), path).",
      },
    );
  }
}

const namesOf = (tensors: PlacedTensors): TensorNames => ({
  has: (name) => tensors.get(name) !== undefined,
  *[Symbol.iterator]() {
    for (const [name] of tensors) yield name;
  },
});

/** Tensors under names of ours; those without one are left out. */
function renamed(tensors: PlacedTensors, rename: NonNullable<Recognised["rename"]>): PlacedTensors {
  const entries = [...tensors].flatMap(([official, placed]) => {
    const name = rename(official);
    return name === undefined ? [] : [[name, placed] as const];
  });
  const byName = new Map(entries);
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return {
    size: sorted.length,
    get: (name) => byName.get(name),
    [Symbol.iterator]: () => sorted[Symbol.iterator](),
  };
}

async function look(
  system: string,
  part: OfficialPart,
  { file, dict }: NamedDict,
  tensors: PlacedTensors,
  prefix: string,
): Promise<FoundPart | undefined> {
  const reader = (of: PlacedTensors) => (name: string) => dict.read(of.get(name)?.inFile ?? name);
  const shape = (name: string) => tensors.get(name)?.shape;
  const recognised = await part.recognise({ names: namesOf(tensors), shape, read: reader(tensors) });
  if (recognised === undefined) return undefined;
  const { section, implied = {}, unknown, rename } = recognised;
  const key = [dict.key, prefix.slice(0, -1)].filter((text) => text !== "").join(".");
  const named = rename ? renamed(tensors, rename) : tensors;
  return {
    ...{ system, part, file, dict, key, section, implied, ...(unknown && { unknown }) },
    ...{ tensors: named, read: reader(named) },
  };
}

/**
 * All parts of all systems in these dicts, up to 64 of a kind in each.
 * @throws NextxError CHECKPOINT_TOO_NESTED, and the codes of reading
 */
export async function findParts(
  dicts: readonly NamedDict[],
  forms: ReadonlyMap<string, OfficialForm>,
): Promise<FoundPart[]> {
  const found: FoundPart[] = [];
  const budget = new LookBudget(dicts);
  for (const named of dicts) {
    const names = new PlainNames(named.dict);
    for (const [system, { parts }] of forms) {
      for (const part of parts) {
        for (const prefix of prefixesOf(names, part.anchor)) {
          const tensors = names.below(prefix);
          budget.take(tensors.size, named.file);
          const one = await look(system, part, named, tensors, prefix);
          if (one) found.push(one);
        }
      }
    }
  }
  return found;
}

/** Two tensors of a part that wrappers alone tell apart: which one is meant, the file does not say. */
function requireOneEach({ tensors, file }: FoundPart): void {
  let before: readonly [string, PlacedTensor] | undefined;
  for (const current of tensors) {
    if (before?.[0] === current[0]) {
      const [first, second] = [before[1].inFile, current[1].inFile];
      throw new NextxError(
        "CHECKPOINT_DUPLICATE_NAME",
        `${file} holds "${first}" and "${second}", which are one tensor of the model.`,
        { path: second, hint: "In Python, save the state dict with only one of them." },
      );
    }
    before = current;
  }
}

/**
 * Fates of all tensors of a part, against what the model needs (full names). Derivable buffers are read and compared.
 * @throws NextxError CHECKPOINT_DUPLICATE_NAME, ABORTED, and the codes of reading
 */
export async function fatesOf(
  found: FoundPart,
  specs: ReadonlyMap<string, ParameterSpec>,
  signal?: AbortSignal,
): Promise<TensorFate[]> {
  requireOneEach(found);
  const { part, tensors, read } = found;
  const fates: TensorFate[] = [];
  for (const [name, { inFile, shape, dtype }] of tensors) {
    throwIfAborted(signal);
    const as = part.prefix + name;
    const base = { name: inFile, part: part.name, shape };
    const expected = specs.get(as)?.shape;
    const derivable = expected ? undefined : part.derivable(name);
    if (expected && String(expected) !== String(shape)) {
      fates.push({ ...base, fate: "wrong shape", as, expected });
    } else if (expected && !isFloat(dtype)) {
      fates.push({ ...base, fate: "wrong dtype", as, why: `${dtype}; weights are floating-point numbers` });
    } else if (expected) {
      fates.push({ ...base, fate: inFile === name ? "used" : "renamed", as });
    } else if (derivable) {
      const holds = derivable.holds === undefined || derivable.holds(await read(name));
      fates.push({
        ...base,
        fate: holds ? "derivable" : "unexpected",
        why: holds ? derivable.why : `should be ${derivable.why}`,
      });
    } else {
      fates.push({ ...base, fate: "unexpected" });
    }
  }
  for (const [as, { shape: expected }] of specs) {
    const name = as.slice(part.prefix.length);
    if (as.startsWith(part.prefix) && tensors.get(name) === undefined)
      fates.push({ fate: "missing", name, part: part.name, as, expected });
  }
  return fates;
}

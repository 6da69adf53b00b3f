/**
 * Finds the parts of published models in the dicts of checkpoints, whatever wrappers stand before their names, and says of
 * every tensor what becomes of it. Nothing is read but shapes and small buffers.
 */
import type { HostTensor } from "../formats/hostTensor.ts";
import type { TensorDict, TensorForm } from "../formats/tensorFile.ts";
import type { ParameterSpec } from "../nn/scope.ts";
import type { OfficialForm, OfficialPart, Recognised } from "./officialForm.ts";

/** A dict of a file. */
export interface NamedDict {
  readonly file: string;
  readonly dict: TensorDict;
}

/** What becomes of one tensor. */
export interface TensorFate {
  readonly fate: "used" | "renamed" | "derivable" | "missing" | "unexpected" | "wrong shape";
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
  /** Keys of nested dicts, then prefixes of names: what `--key` chooses by; empty for a bare state dict. */
  readonly key: string;
  readonly section: Recognised["section"];
  readonly unknown?: NonNullable<Recognised["unknown"]>;
  readonly implied: NonNullable<Recognised["implied"]>;
  /** Form and name in the file, by official name. */
  readonly tensors: ReadonlyMap<string, TensorForm & { readonly inFile: string }>;
  read(officialName: string): Promise<HostTensor>;
}

/** Wrappers of compiled and sharded modules, anywhere in a name. */
const wrappers = /(^|\.)(_orig_mod|_fsdp_wrapped_module)(?=\.)/g;
const unwrapped = (name: string): string => name.replace(wrappers, "").replace(/^\./, "");

/** A tensor of a dict. */
interface Entry {
  /** Its name without wrappers. */
  readonly plain: string;
  readonly inFile: string;
  readonly form: TensorForm;
}

const entriesOf = ({ tensors }: TensorDict): Entry[] =>
  [...tensors].map(([inFile, form]) => ({ plain: unwrapped(inFile), inFile, form }));

/** Places of one part in a dict that are looked at. Files may repeat an anchor's name many times: each costs a walk. */
const maxPrefixes = 64;

/** Prefixes before the anchor in the dict's names, the shortest ones: those of wrappers are short. */
function prefixesOf(entries: readonly Entry[], anchor: string): string[] {
  const found = new Set<string>();
  for (const { plain } of entries) {
    if (plain === anchor || plain.endsWith(`.${anchor}`)) found.add(plain.slice(0, -anchor.length));
  }
  return [...found].sort((a, b) => a.length - b.length).slice(0, maxPrefixes);
}

function tensorsBelow(entries: readonly Entry[], prefix: string): FoundPart["tensors"] {
  const tensors = new Map<string, TensorForm & { inFile: string }>();
  for (const { plain, inFile, form } of entries) {
    if (plain.startsWith(prefix)) tensors.set(plain.slice(prefix.length), { ...form, inFile });
  }
  return tensors;
}

async function look(
  system: string,
  part: OfficialPart,
  { file, dict }: NamedDict,
  entries: readonly Entry[],
  prefix: string,
): Promise<FoundPart | undefined> {
  const tensors = tensorsBelow(entries, prefix);
  const read = (name: string) => dict.read(tensors.get(name)?.inFile ?? name);
  const shape = (name: string) => tensors.get(name)?.shape;
  const recognised = await part.recognise({ names: new Set(tensors.keys()), shape, read });
  if (recognised === undefined) return undefined;
  const { section, implied = {}, unknown } = recognised;
  const key = [dict.key, prefix.slice(0, -1)].filter((text) => text !== "").join(".");
  return { system, part, file, key, section, implied, ...(unknown && { unknown }), tensors, read };
}

/** All parts of all systems in these dicts, up to 64 of a kind in each. Errors: those of reading. */
export async function findParts(
  dicts: readonly NamedDict[],
  forms: ReadonlyMap<string, OfficialForm>,
): Promise<FoundPart[]> {
  const found: FoundPart[] = [];
  for (const named of dicts) {
    const entries = entriesOf(named.dict);
    for (const [system, { parts }] of forms) {
      for (const part of parts) {
        for (const prefix of prefixesOf(entries, part.anchor)) {
          const one = await look(system, part, named, entries, prefix);
          if (one) found.push(one);
        }
      }
    }
  }
  return found;
}

/** Fates of all tensors of a part, against what the model needs (full names). Derivable buffers are read and compared. */
export async function fatesOf(
  { part, tensors, read }: FoundPart,
  specs: ReadonlyMap<string, ParameterSpec>,
): Promise<TensorFate[]> {
  const fates: TensorFate[] = [];
  for (const [name, { inFile, shape }] of tensors) {
    const as = part.prefix + name;
    const base = { name: inFile, part: part.name, shape };
    const expected = specs.get(as)?.shape;
    const derivable = expected ? undefined : part.derivable(name);
    if (expected && String(expected) === String(shape)) {
      fates.push({ ...base, fate: inFile === name ? "used" : "renamed", as });
    } else if (expected) {
      fates.push({ ...base, fate: "wrong shape", as, expected });
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
    if (as.startsWith(part.prefix) && !tensors.has(name))
      fates.push({ fate: "missing", name, part: part.name, as, expected });
  }
  return fates;
}

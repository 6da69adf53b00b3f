/**
 * Published checkpoints as model files of nextx: recognised by their tensors, compared with what the model needs, copied
 * tensor by tensor. Nothing is written unless everything that is needed is there.
 */
import { throwIfAborted } from "./decoding/loop.ts";
import { groupDicts, groupNames, type TensorGroup } from "./formats/dictGroups.ts";
import { convertFloats, type HostTensor, isFloat } from "./formats/hostTensor.ts";
import { type InheritedCard, modelMetadata, unknownData } from "./formats/modelFile.ts";
import { writeSafetensorsFile } from "./formats/safetensors.node.ts";
import { shellWord } from "./formats/shellWord.ts";
import { openTensors, type TensorFile } from "./formats/tensorFile.node.ts";
import type { TensorForm } from "./formats/tensorFile.ts";
import type { OfficialForm, Sections } from "./regimen/officialForm.ts";
import { type FoundPart, fatesOf, findParts, type TensorFate } from "./regimen/officialMatch.ts";
import type { ImageSystem, ModelDescription } from "./regimen/system.ts";
import { imageSystems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/** What `convert` may be told. */
export interface ConvertOptions {
  /** Which of several state dicts to take, such as `ema`; every part is looked for in all of them. */
  readonly keys?: readonly string[];
  /** Configuration that files do not say, by path: `tokenizer.numGroups`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Names of the classes; their numbers when absent. */
  readonly classNames?: readonly string[];
  /** How floating tensors are stored; as they are when absent. */
  readonly dtype?: "F32" | "F16" | "BF16";
  readonly onProgress?: (writtenBytes: number, totalBytes: number) => void;
  /** Ends it between two tensors; nothing is left behind. */
  readonly signal?: AbortSignal;
}

/** A file, and tensors in it that belong to no part that was taken. */
export interface ConvertInput {
  readonly path: string;
  readonly format: TensorFile["format"];
  readonly sizeBytes: number;
  /** By dict; by the start of their names where other tensors of the dict were taken. */
  readonly ignored: readonly TensorGroup[];
}

/** What was found in the inputs, what became of each tensor, and what was written. */
export interface ConvertReport {
  readonly system: string;
  readonly parts: readonly {
    readonly part: string;
    readonly file: string;
    readonly key: string;
    readonly summary: string;
  }[];
  readonly inputs: readonly ConvertInput[];
  readonly tensors: readonly TensorFate[];
  /** All but the missing ones sum up to the tensors of the inputs. */
  readonly counts: Readonly<Record<TensorFate["fate"] | "not taken", number>>;
  /** Whether the file can be sampled: all parts are there. */
  readonly isModel: boolean;
  /** Parts that no input has. */
  readonly absent: readonly string[];
  readonly sizeBytes?: number;
}

const forms = (): ReadonlyMap<string, OfficialForm> =>
  new Map(
    [...imageSystems.values()].flatMap(({ id, official }) => (official ? [[id, official] as const] : [])),
  );

/** The parts of published models in an open checkpoint. Errors: those of reading. */
export function recognise(file: TensorFile): Promise<FoundPart[]> {
  return findParts(
    file.dicts.map((dict) => ({ file: file.path, dict })),
    forms(),
  );
}

/**
 * Reads published checkpoints and writes one safetensors file: a model that `load` opens when all parts are there, one
 * part under its official names, several under ours for another conversion.
 * @throws NextxError CONVERT_UNKNOWN, CONVERT_SYSTEMS, CONVERT_KEY_NEEDED, CONVERT_NO_KEY, CONVERT_UNKNOWN_SCHEDULE,
 * CONVERT_CLASS_NAMES, CONVERT_INCOMPLETE (its cause is a ConvertFailure with the report), CHECKPOINT_DUPLICATE_NAME,
 * CONFIG_ codes, ABORTED, and the codes of openTensors, findParts and writeSafetensorsFile
 */
export async function convert(
  inputs: readonly string[],
  out: string,
  options: ConvertOptions = {},
): Promise<ConvertReport> {
  const files: TensorFile[] = [];
  try {
    for (const path of inputs) {
      throwIfAborted(options.signal);
      const file = await openTensors(path);
      files.push(file);
      if (!file.metadata.has("nextx")) continue;
      throw new NextxError("CONVERT_IS_MODEL", `${path} is a model of nextx already.`, {
        path,
        hint: `nextx sample ${shellWord(path)}; in fewer bits: nextx quantize ${shellWord(path)} --to int8.`,
      });
    }
    const found = choose((await Promise.all(files.map(recognise))).flat(), options.keys ?? [], inputs);
    return await write(files, found, out, options);
  } finally {
    for (const file of files) await file.close();
  }
}

/** One part of each kind, of one system. */
function choose(all: readonly FoundPart[], keys: readonly string[], inputs: readonly string[]): FoundPart[] {
  const path = inputs.join(", ");
  const unknown = keys.find((key) => !all.some((found) => found.key === key));
  if (unknown !== undefined) {
    const there = [...new Set(all.map(({ key }) => `"${key}"`))].join(", ");
    throw new NextxError("CONVERT_NO_KEY", `No known part lies at "${unknown}".`, {
      path,
      hint: `There is ${there}.`,
    });
  }
  if (all.length === 0) {
    throw new NextxError("CONVERT_UNKNOWN", `${path} holds no published model that nextx knows.`, {
      path,
      hint: "`nextx inspect FILE --tensors` shows what it holds, `nextx list` what is known.",
    });
  }
  const place = ({ file, key }: FoundPart) => `${file}\n${key}`;
  const places = new Set(all.map(place));
  const systems = [...new Set(all.map(({ system }) => system))];
  // Systems may share a part, such as an autoencoder: the first that knows what lies at every place.
  const system = systems.find(
    (id) => new Set(all.filter((found) => found.system === id).map(place)).size === places.size,
  );
  if (system === undefined) {
    throw new NextxError("CONVERT_SYSTEMS", `The files belong to different systems: ${systems.join(", ")}.`, {
      path,
      hint: "Give the transformer and the tokenizer of one system.",
    });
  }
  const own = all.filter((found) => found.system === system);
  const parts = [...new Set(own.map(({ part }) => part))];
  return parts.map((part) =>
    chosen(
      own.filter((found) => found.part === part),
      keys,
    ),
  );
}

function chosen(candidates: readonly FoundPart[], keys: readonly string[]): FoundPart {
  const named = candidates.filter(({ key }) => keys.includes(key));
  const [first, ...more] = named.length > 0 ? named : candidates;
  if (first && more.length === 0) return first;
  const places = candidates.map(({ file, key }) => `"${key}" of ${file}`).join(", ");
  throw new NextxError(
    "CONVERT_KEY_NEEDED",
    `The ${candidates[0]?.part.name} is there several times: ${places}.`,
    {
      hint: "Choose one: --key KEY (averaged weights, `ema`, usually sample better).",
    },
  );
}

/** What is known once parts are chosen. */
interface Plan {
  readonly system: ImageSystem;
  readonly description: ModelDescription;
  readonly card: InheritedCard;
  readonly absent: readonly string[];
}

function planOf(found: readonly FoundPart[], { settings = {}, classNames }: ConvertOptions): Plan {
  const system = imageSystems.get(found[0]?.system ?? "") as ImageSystem; // its form found the parts
  const form = system.official as OfficialForm; // the same
  const sections: Record<string, Record<string, unknown>> = {};
  for (const { implied } of found) {
    for (const [name, section] of Object.entries(implied)) sections[name] = { ...section };
  }
  for (const { part, section } of found) sections[part.name] = { ...sections[part.name], ...section };
  for (const { unknown } of found) {
    if (unknown && !Object.hasOwn(settings, unknown.path ?? "")) throw unknown;
  }
  for (const [path, value] of Object.entries(settings)) {
    const [section = "", ...rest] = path.split(".");
    if (!form.parts.some((part) => part.name === section) || rest.length !== 1) {
      throw new NextxError("CONFIG_UNKNOWN_KEY", `There is no setting "${path}".`, {
        path,
        hint: `Settings are PART.KEY; parts are ${form.parts.map((part) => part.name).join(", ")}.`,
      });
    }
    sections[section] = { ...sections[section], [rest[0] as string]: value }; // exactly one
  }
  const { config, imageSize, numClasses, sampling = {} } = describe(form, sections);
  if (classNames && classNames.length !== numClasses) {
    throw new NextxError(
      "CONVERT_CLASS_NAMES",
      `The model has ${numClasses} classes, ${classNames.length} names were given.`,
      { path: "classNames" },
    );
  }
  const names = classNames ?? Array.from({ length: numClasses }, (_, i) => String(i));
  const absent = form.parts
    .map(({ name }) => name)
    .filter((name) => !found.some(({ part }) => part.name === name));
  const card: InheritedCard = {
    title: `${system.title}: converted checkpoint`,
    ...{ system: system.id, licence: "its authors'", data: unknownData, sampling },
  };
  return { system, absent, description: { system: system.id, config, classNames: names, imageSize }, card };
}

function describe(form: OfficialForm, sections: Sections): ReturnType<OfficialForm["describe"]> {
  try {
    return form.describe(sections);
  } catch (error) {
    if (!(error instanceof NextxError) || error.code !== "CONFIG_BAD_VALUE") throw error;
    const { code, message, path = "", hint } = error;
    const setting = path.replace(/^config\./, "");
    throw new NextxError(code, message, {
      path,
      hint: hint ?? `Say it: --set ${setting}=VALUE`,
      cause: error,
    });
  }
}

async function write(
  files: readonly TensorFile[],
  found: readonly FoundPart[],
  out: string,
  options: ConvertOptions,
): Promise<ConvertReport> {
  const { system, description, absent, card } = planOf(found, options);
  const all = system.parameters(description);
  const fates: TensorFate[] = [];
  for (const one of found) {
    const own = new Map([...all].filter(([name]) => name.startsWith(one.part.prefix)));
    for (const fate of await fatesOf(one, own, options.signal)) fates.push(fate);
  }
  const inputs = files.map((file) => inputOf(file, found));
  const report: ConvertReport = {
    system: system.id,
    parts: found.map(({ part, file, key, section }) => ({
      part: part.name,
      file,
      key,
      summary: part.summary(section),
    })),
    inputs,
    tensors: fates,
    counts: countFates(fates, inputs),
    isModel: absent.length === 0,
    absent,
  };
  if (fates.some(({ fate }) => isProblem(fate))) throw incomplete(report);
  const supply = supplyOf(found, fates, options);
  const metadata = report.isModel ? modelMetadata(description, { card }) : {};
  const { sizeBytes } = await writeSafetensorsFile(out, supply, metadata, options.onProgress);
  return { ...report, sizeBytes };
}

/** What of a file is in none of the parts. */
function inputOf({ path, format, sizeBytes, dicts }: TensorFile, found: readonly FoundPart[]): ConvertInput {
  const groups = dicts.map((dict) => {
    const parts = found.filter((one) => one.dict === dict);
    if (parts.length === 0) return { whole: [{ key: dict.key, tensors: dict.tensors.size }], rest: [] };
    const taken = new Set(parts.flatMap(({ tensors }) => Array.from(tensors, ([, { inFile }]) => inFile)));
    const names = [...dict.tensors.keys()].filter((name) => !taken.has(name));
    return { whole: [], rest: groupNames(dict.key, names) };
  });
  const whole = groupDicts(groups.flatMap((group) => group.whole));
  return { path, format, sizeBytes, ignored: [...groups.flatMap(({ rest }) => rest), ...whole] };
}

function countFates(fates: readonly TensorFate[], inputs: readonly ConvertInput[]): ConvertReport["counts"] {
  const none = { missing: 0, unexpected: 0, "wrong shape": 0, "wrong dtype": 0, "not taken": 0 };
  const counts = { used: 0, renamed: 0, derivable: 0, ...none };
  for (const { fate } of fates) counts[fate]++;
  for (const { ignored } of inputs)
    counts["not taken"] += ignored.reduce((sum, { tensors }) => sum + tensors, 0);
  return counts;
}

const problems: ReadonlySet<TensorFate["fate"]> = new Set([
  ...(["missing", "unexpected", "wrong shape", "wrong dtype"] as const),
]);

/** Whether a tensor keeps the model from being made. */
export const isProblem = (fate: TensorFate["fate"]): boolean => problems.has(fate);

/** Carries the report of a conversion that cannot be made. */
export class ConvertFailure extends Error {
  readonly report: ConvertReport;
  constructor(report: ConvertReport) {
    super("The tensors do not make the model.");
    this.report = report;
  }
}

function incomplete(report: ConvertReport): NextxError {
  const { missing, unexpected, "wrong shape": misshapen, "wrong dtype": mistyped } = report.counts;
  const first = report.tensors.find(({ fate }) => isProblem(fate));
  const types = mistyped > 0 ? `, ${mistyped} of another dtype` : "";
  const what = `${missing} tensors missing, ${unexpected} unexpected, ${misshapen} of another shape${types}`;
  return new NextxError("CONVERT_INCOMPLETE", `Nothing was written: ${what}, the first ${first?.name}.`, {
    path: first?.name ?? "",
    hint:
      first?.fate === "wrong dtype"
        ? "Weights of integers are quantised ones: convert the file that they were made from."
        : "If the file has a configuration that its shapes do not show, say it: --set tokenizer.numGroups=16",
    cause: new ConvertFailure(report),
  });
}

/** Under full names; a part alone under official ones. */
function supplyOf(
  found: readonly FoundPart[],
  fates: readonly TensorFate[],
  { dtype, signal }: ConvertOptions,
) {
  const kept = new Set(fates.flatMap(({ as }) => as ?? []));
  const tensors = new Map<string, TensorForm>();
  const sources = new Map<string, () => Promise<HostTensor>>();
  for (const one of found) {
    for (const [name, form] of one.tensors) {
      if (!kept.has(one.part.prefix + name)) continue;
      const out = found.length > 1 ? one.part.prefix + name : name; // parts may share official names
      tensors.set(out, { shape: form.shape, dtype: dtype && isFloat(form.dtype) ? dtype : form.dtype });
      sources.set(out, () => one.read(name));
    }
  }
  const read = async (name: string): Promise<HostTensor> => {
    throwIfAborted(signal);
    const tensor = await (sources.get(name) as () => Promise<HostTensor>)(); // announced above
    return dtype ? convertFloats(tensor, dtype) : tensor;
  };
  return { tensors, read };
}

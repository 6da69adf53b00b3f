/**
 * A checkpoint as files: one .safetensors per group of tensors (weights, average, moments), so that `weights.safetensors`
 * opens anywhere, and `state.json` for everything else. Pure: bytes in, bytes out; whoever stores them checks their hashes.
 */
import { z } from "zod";
import { readSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import { fromValue, toValue } from "../formats/tensorValue.ts";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import type { Json, TrainerSnapshot } from "./trainer.ts";

/** Everything that a checkpoint holds. */
export interface RunState {
  /** Finished steps. */
  readonly step: number;
  /** Tensors by group; a group is a file. */
  readonly tensors: Readonly<Record<string, ReadonlyMap<string, Value>>>;
  /** Random streams, data cursor, usage statistics: what is no tensor. Finite numbers only. */
  readonly json: Json;
}

export const stateVersion = 1;
const stateFile = "state.json";
const tensorFile = /^([a-z][a-zA-Z0-9]*)\.safetensors$/;

const stateSchema = z.strictObject({
  format: z.literal("nextx-checkpoint"),
  version: z.number().int().min(1),
  step: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  configSha256: z.string(),
  groups: z.array(z.string()),
  /** Whatever JSON.parse gives is JSON. */
  json: z.custom<Json>((value) => value !== undefined),
});

/** A trainer's snapshot as state. */
export function stateOfSnapshot({ step, weights, average, moments, task }: TrainerSnapshot): RunState {
  return { step, tensors: { weights, ...(average ? { average } : {}), moments }, json: task };
}

/** Back again. @throws NextxError RUN_BAD_STATE when there are no weights or moments */
export function snapshotOfState({ step, tensors, json }: RunState): TrainerSnapshot {
  const { weights, average, moments } = tensors;
  if (!weights || !moments)
    throw badState("weights", "The checkpoint holds no weights or no optimiser state.");
  return {
    step,
    weights: new Map(weights),
    average: average && new Map(average),
    moments: new Map(moments),
    task: json,
  };
}

/** Files of a checkpoint. @throws NextxError RUN_BAD_STATE for numbers that JSON cannot hold */
export function encodeState(state: RunState, configSha256: string): Map<string, Uint8Array | string> {
  const { step, tensors, json } = state;
  requireFinite(json, "state");
  const files = new Map<string, Uint8Array | string>();
  for (const [group, values] of Object.entries(tensors)) {
    const name = `${group}.safetensors`;
    if (!tensorFile.test(name)) throw badState(group, `"${group}" cannot be the name of a group of tensors.`);
    const hosts = new Map([...values].map(([key, value]) => [key, fromValue(value)]));
    files.set(name, writeSafetensors(hosts, { format: "nextx" }));
  }
  const groups = Object.keys(tensors);
  const head = { format: "nextx-checkpoint", version: stateVersion, step, configSha256, groups, json };
  return files.set(stateFile, JSON.stringify(head));
}

/**
 * The state in a checkpoint's files, and the hash of the config it was made with.
 * @throws NextxError RUN_BAD_STATE, RUN_NEWER_VERSION, the codes of readSafetensors
 */
export function decodeState(
  files: ReadonlyMap<string, Uint8Array>,
): RunState & { readonly configSha256: string } {
  const { step, configSha256, groups, json } = parseState(files.get(stateFile));
  const tensors = Object.fromEntries(
    groups.map((group) => {
      const bytes = files.get(`${group}.safetensors`);
      if (!bytes) throw badState(group, `The checkpoint lacks ${group}.safetensors.`);
      const found = readSafetensors(bytes).tensors;
      return [group, new Map([...found].map(([name, tensor]) => [name, toValue(tensor)]))];
    }),
  );
  return { step, tensors, json, configSha256 };
}

function parseState(bytes: Uint8Array | undefined): z.infer<typeof stateSchema> {
  if (!bytes) throw badState(stateFile, `The checkpoint lacks ${stateFile}.`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw badState(stateFile, `${stateFile} is not JSON.`, cause);
  }
  requireVersion(json, stateVersion, stateFile);
  const parsed = stateSchema.safeParse(json);
  if (!parsed.success) throw badState(stateFile, `${stateFile} is not a checkpoint's state.`, parsed.error);
  return parsed.data;
}

/** @throws NextxError RUN_NEWER_VERSION when `json.version` is above what this code reads */
export function requireVersion(json: unknown, newest: number, path: string): void {
  const found = z.looseObject({ version: z.number() }).safeParse(json);
  if (!found.success || found.data.version <= newest) return;
  throw new NextxError(
    "RUN_NEWER_VERSION",
    `${path} has format version ${found.data.version}; this nextx reads up to ${newest}.`,
    { path, hint: "Update nextx." },
  );
}

function badState(path: string, message: string, cause?: unknown): NextxError {
  return new NextxError("RUN_BAD_STATE", message, { path, ...(cause === undefined ? {} : { cause }) });
}

/** JSON turns NaN and infinity into null without a word: refuse them instead. */
function requireFinite(json: Json, path: string): void {
  if (typeof json === "number" && !Number.isFinite(json)) throw badState(path, `${path} is ${json}.`);
  if (typeof json !== "object" || json === null) return;
  for (const [key, value] of Object.entries(json)) requireFinite(value as Json, `${path}.${key}`); // JSON holds JSON
}

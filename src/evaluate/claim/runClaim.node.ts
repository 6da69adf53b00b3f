/** Running a claim: its arms into rows, its rows into results/<system>.json. The result is written when all rows are there. */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileDurably } from "../../formats/durable.node.ts";
import { suggestion } from "../../formats/suggest.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type ArmEvent, type ArmRow, runArms } from "./arms.node.ts";
import type { Claim, ClaimMeasure, Rows } from "./claim.ts";
import { judge, type Measure, parseResult, type Result, resultSchema } from "./result.ts";

/** Where a claim's files are: rows in a folder, the result beside it. */
export interface ClaimPaths {
  readonly result: string;
  readonly arms: string;
}

/** The layout below a folder of results. */
export function claimPaths(root: string, system: string): ClaimPaths {
  return { result: join(root, `${system}.json`), arms: join(root, system, "arms") };
}

/** What a result's provenance says besides what rows tell. */
export interface ClaimOrigin {
  readonly revision: string;
  readonly command: string;
  readonly machineClass: string;
}

/** What a claim tells while its arms run. */
export type ClaimEvent =
  | ArmEvent
  /** Measures whose arms are there, all arms that are not, and those of them that a result needs. */
  | {
      readonly kind: "measured";
      readonly measures: readonly Measure[];
      readonly missing: readonly string[];
      readonly needed: readonly string[];
    }
  /** All arms that a result needs are there: the result, and whether its file was written (false: it stood already). */
  | { readonly kind: "judged"; readonly result: Result; readonly path: string; readonly isWritten: boolean };

/** Names of arms by name or by the part before a dash. @throws NextxError CLAIM_UNKNOWN_ARM */
export function chooseArms(claim: Claim, words: readonly string[]): ReadonlySet<string> {
  const names = claim.arms.map(({ name }) => name);
  const chosen = words.map((word) => names.filter((name) => name === word || name.startsWith(`${word}-`)));
  const unknown = words.find((_, i) => chosen[i]?.length === 0);
  if (unknown === undefined) return new Set(chosen.flat());
  throw new NextxError("CLAIM_UNKNOWN_ARM", `The claim of ${claim.system} has no arm "${unknown}".`, {
    path: "arms",
    hint: suggestion(unknown, names),
  });
}

/** Measures whose rows are all there, with their numbers. */
export function measuresOf(claim: Claim, rows: Rows): Omit<Measure, "holds">[] {
  const there = claim.measures.filter(({ arms }) => arms.every((arm) => rows.has(arm)));
  return there.map((measure) => measureOf(measure, rows));
}

function measureOf({ arms: _, numbers, ...told }: ClaimMeasure, rows: Rows): Omit<Measure, "holds"> {
  const { system, baseline = [] } = numbers(rows);
  return { ...told, system: [...system], baseline: [...baseline] };
}

/** Arms that a result needs and that are not there. */
export const lackingArms = ({ arms }: Claim, rows: Rows): string[] =>
  arms.filter(({ name, isExtra }) => !(isExtra || rows.has(name))).map(({ name }) => name);

/** The result that rows give; those of all arms but the extra ones must be there. Keys are in the schema's order, as in a file that was read. */
export function composeResult(claim: Claim, rows: Rows, origin: ClaimOrigin): Result {
  const all = [...rows.values()];
  return resultSchema.parse({
    system: claim.system,
    statement: claim.statement,
    protocol: claim.protocol(rows),
    ...judge(measuresOf(claim, rows)),
    notes: [...claim.notes],
    figures: [...(claim.figures?.(rows) ?? [])],
    pictures: all.flatMap(({ pictures }) => pictures ?? []),
    provenance: {
      ...origin,
      machineClass: machinesOf(all, origin.machineClass),
      minutes: Number(all.reduce((total, { minutes }) => total + minutes, 0).toFixed(1)),
      checkpoints: all.flatMap(({ checkpoint }) => (checkpoint ? [checkpoint] : [])),
    },
  });
}

/** The machine that puts a result together, and those that rows were made on besides. */
function machinesOf(rows: readonly ArmRow[], own: string): string {
  const others = new Set(rows.flatMap(({ machine }) => machine ?? []));
  return [own, ...[...others].filter((machine) => !own.includes(machine))].join("; ");
}

/** The file's text. */
export const resultText = (result: Result): string => `${JSON.stringify(result, null, 1)}\n`;

/** A result's file; undefined when there is none. @throws NextxError CLAIM_BAD_RESULT */
export async function readResult(path: string): Promise<Result | undefined> {
  return existsSync(path) ? parseResult(await readFile(path, "utf8"), path) : undefined;
}

export interface RunClaimOptions {
  readonly paths: ClaimPaths;
  readonly origin: ClaimOrigin;
  /** Names of arms, or what they have in common before a dash; all when absent. */
  readonly arms?: readonly string[];
  readonly signal?: AbortSignal;
}

/** @throws NextxError CLAIM_ codes, ABORTED, and those of the arms */
export async function* runClaim(claim: Claim, options: RunClaimOptions): AsyncGenerator<ClaimEvent> {
  const { paths, origin, arms, signal } = options;
  const only = arms && chooseArms(claim, arms);
  const rows = new Map<string, ArmRow>();
  const missing: string[] = [];
  let isNew = false;
  for await (const event of runArms(paths.arms, claim.arms, {
    ...(only && { only }),
    machine: origin.machineClass,
    ...(signal && { signal }),
  })) {
    if (event.kind === "missing") missing.push(event.arm);
    if (event.kind === "kept" || event.kind === "finished") rows.set(event.row.arm, event.row);
    isNew ||= event.kind === "finished";
    yield event;
  }
  const needed = lackingArms(claim, rows);
  yield { kind: "measured", measures: judge(measuresOf(claim, rows)).measures, missing, needed };
  if (needed.length > 0) return;
  const result = composeResult(claim, rows, origin);
  const before = await readResult(paths.result).catch(() => undefined); // replaced by the good one below
  const stands = !isNew && before && sameBut(before, result);
  if (!stands) {
    await mkdir(join(paths.result, ".."), { recursive: true });
    await writeFileDurably(paths.result, resultText(result));
  }
  yield { kind: "judged", result: stands ? before : result, path: paths.result, isWritten: !stands };
}

/** Equal apart from where and with what it was put together. */
function sameBut(a: Result, b: Result): boolean {
  const told = ({ provenance: { checkpoints, minutes }, ...rest }: Result) =>
    JSON.stringify({ ...rest, checkpoints, minutes });
  return told(a) === told(b);
}

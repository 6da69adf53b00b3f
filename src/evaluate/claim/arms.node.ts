/**
 * The arms of a claim: parts of at most 15 minutes, each ending in a row of numbers and, where it trained or drew, small
 * weights and pictures, all written durably. An arm whose row is there with the same definition is not run again, so a claim
 * goes on where it stopped.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { sha256Hex, writeFileDurably } from "../../formats/durable.node.ts";
import { encodePng, type RgbImage } from "../../formats/png.ts";
import { NextxError } from "../../tensor/errors.ts";

const fileSchema = z.strictObject({ file: z.string(), sha256: z.string() });

const rowSchema = z.strictObject({
  arm: z.string(),
  /** Hash of what defines the arm. */
  definition: z.string(),
  numbers: z.record(z.string(), z.union([z.number(), z.array(z.number())])),
  minutes: z.number(),
  /** Class of the machine; absent in rows from before it was noted. */
  machine: z.string().optional(),
  checkpoint: fileSchema.optional(),
  pictures: z.array(fileSchema).optional(),
});
export type ArmRow = z.infer<typeof rowSchema>;

/** What an arm gives. */
export interface ArmOutcome {
  readonly numbers: ArmRow["numbers"];
  /** A model file's bytes, float16. */
  readonly model?: Uint8Array;
  /** Pictures to look at, by name (lower-case letters, digits, dashes). */
  readonly pictures?: Readonly<Record<string, RgbImage>>;
}

/** What an arm may look at. */
export interface ArmContext {
  /** Rows of the arms before. */
  readonly rows: ReadonlyMap<string, ArmRow>;
  /** Bytes of an earlier arm's model. @throws NextxError CLAIM_MISSING_ARM, CLAIM_DAMAGED_ARM */
  model(arm: string): Promise<Uint8Array>;
  readonly signal?: AbortSignal;
}

/** Numbers computed anew, and how far each may lie from the row's, relative to it. */
export interface Recomputed {
  readonly numbers: ArmRow["numbers"];
  readonly tolerance: number;
}

export interface Arm {
  /** Lower-case letters, digits, dashes. */
  readonly name: string;
  /** Everything that decides the arm's numbers: recipe, seed, data; JSON, the same on every machine. */
  readonly definition: unknown;
  /** Its row only adds to figures: a result stands without it. */
  readonly isExtra?: true;
  run(context: ArmContext): Promise<ArmOutcome>;
  /** Recomputes what is cheap from committed models; no timings. Absent where nothing is. */
  recompute?(context: ArmContext): Promise<Recomputed>;
  /** A check that takes minutes goes by its row and files, and computes it again only when all is asked for. */
  readonly isSlowToCheck?: boolean;
}

export type ArmEvent =
  | { readonly kind: "kept"; readonly row: ArmRow }
  /** Not chosen, and not there from before. */
  | { readonly kind: "missing"; readonly arm: string }
  | { readonly kind: "started"; readonly arm: string }
  | { readonly kind: "finished"; readonly row: ArmRow };

/** The row of an arm, whatever its definition; undefined when it has not run. @throws NextxError CLAIM_DAMAGED_ARM */
export async function readRow(folder: string, name: string): Promise<ArmRow | undefined> {
  const path = join(folder, `${name}.json`);
  if (!existsSync(path)) return undefined;
  try {
    return rowSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new NextxError("CLAIM_DAMAGED_ARM", `${path} is not the row of an arm.`, {
      path,
      hint: "Remove it; the arm runs again.",
      cause,
    });
  }
}

/** Hash of a definition's JSON. */
export function definitionHash(definition: unknown): string {
  return sha256Hex(JSON.stringify(definition)).slice(0, 16);
}

/** An arm's row when it was made with the arm's definition. @throws NextxError CLAIM_DAMAGED_ARM */
export async function currentRow(folder: string, { name, definition }: Arm): Promise<ArmRow | undefined> {
  const row = await readRow(folder, name);
  return row?.definition === definitionHash(definition) ? row : undefined;
}

/** What arms may look at, given the rows so far. */
export function armContext(
  folder: string,
  rows: ReadonlyMap<string, ArmRow>,
  signal?: AbortSignal,
): ArmContext {
  const model = async (name: string): Promise<Uint8Array> => {
    const checkpoint = rows.get(name)?.checkpoint;
    if (checkpoint === undefined)
      throw new NextxError("CLAIM_MISSING_ARM", `Arm "${name}" has no model yet.`, { path: name });
    const bytes = await readFile(join(folder, checkpoint.file)).catch(() => undefined); // told below
    if (bytes && sha256Hex(bytes) === checkpoint.sha256) return bytes;
    throw new NextxError("CLAIM_DAMAGED_ARM", `${checkpoint.file} is not what its row says.`, { path: name });
  };
  return { rows, model, ...(signal && { signal }) };
}

export interface RunArmsOptions {
  /** Names of the arms to run; all when absent. Arms of before are kept either way. */
  readonly only?: ReadonlySet<string>;
  /** Class of this machine, for the rows. */
  readonly machine?: string;
  readonly signal?: AbortSignal;
}

/** Runs what is missing, in order; rows, weights and pictures go into `folder`. @throws NextxError of the arms, ABORTED */
export async function* runArms(
  folder: string,
  arms: readonly Arm[],
  { only, machine, signal }: RunArmsOptions = {},
): AsyncGenerator<ArmEvent> {
  await mkdir(folder, { recursive: true });
  const rows = new Map<string, ArmRow>();
  for (const arm of arms) {
    if (signal?.aborted) throw new NextxError("ABORTED", "The claim was stopped.");
    const known = await currentRow(folder, arm);
    if (known) {
      rows.set(arm.name, known);
      yield { kind: "kept", row: known };
      continue;
    }
    if (only && !only.has(arm.name)) {
      yield { kind: "missing", arm: arm.name };
      continue;
    }
    yield { kind: "started", arm: arm.name };
    const row = await runOne(folder, arm, armContext(folder, rows, signal), machine);
    rows.set(arm.name, row);
    yield { kind: "finished", row };
  }
}

async function runOne(
  folder: string,
  arm: Arm,
  context: ArmContext,
  machine: string | undefined,
): Promise<ArmRow> {
  const startMs = performance.now();
  const { numbers, model, pictures } = await arm.run(context);
  requireFinite(arm.name, numbers);
  const write = async (file: string, bytes: Uint8Array) => {
    await writeFileDurably(join(folder, file), bytes);
    return { file, sha256: sha256Hex(bytes) };
  };
  const checkpoint = model && (await write(`${arm.name}.safetensors`, model));
  const drawn: { file: string; sha256: string }[] = [];
  for (const [name, picture] of Object.entries(pictures ?? {}))
    drawn.push(await write(`${arm.name}-${name}.png`, encodePng(picture)));
  const row: ArmRow = {
    arm: arm.name,
    definition: definitionHash(arm.definition),
    numbers,
    minutes: Number(((performance.now() - startMs) / 60_000).toFixed(2)),
    ...(machine !== undefined && { machine }),
    ...(checkpoint && { checkpoint }),
    ...(drawn.length > 0 && { pictures: drawn }),
  };
  await writeFileDurably(join(folder, `${arm.name}.json`), `${JSON.stringify(row, null, 1)}\n`);
  return row;
}

/** JSON has no NaN: a row would read differently from what was measured. */
function requireFinite(arm: string, numbers: ArmRow["numbers"]): void {
  const bad = Object.entries(numbers).find(([, value]) => ![value].flat().every(Number.isFinite));
  if (bad === undefined) return;
  throw new NextxError("CLAIM_NOT_FINITE", `Arm "${arm}" measured ${bad[1]} as "${bad[0]}".`, {
    path: `${arm}.${bad[0]}`,
  });
}

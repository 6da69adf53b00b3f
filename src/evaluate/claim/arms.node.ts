/**
 * The arms of a claim: parts of at most 15 minutes, each ending in a row of numbers and, where it trained, small weights, both
 * written durably. An arm whose row is there with the same definition is not run again, so a claim goes on where it stopped.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { sha256Hex, writeFileDurably } from "../../formats/durable.node.ts";
import { NextxError } from "../../tensor/errors.ts";

const rowSchema = z.strictObject({
  arm: z.string(),
  /** Hash of what defines the arm. */
  definition: z.string(),
  numbers: z.record(z.string(), z.union([z.number(), z.array(z.number())])),
  minutes: z.number(),
  checkpoint: z.strictObject({ file: z.string(), sha256: z.string() }).optional(),
});
export type ArmRow = z.infer<typeof rowSchema>;

/** What an arm gives. */
export interface ArmOutcome {
  readonly numbers: ArmRow["numbers"];
  /** A model file's bytes, float16. */
  readonly model?: Uint8Array;
}

/** What an arm may look at. */
export interface ArmContext {
  /** Rows of the arms before. */
  readonly rows: ReadonlyMap<string, ArmRow>;
  /** Bytes of an earlier arm's model. @throws NextxError CLAIM_MISSING_ARM, CLAIM_DAMAGED_ARM */
  model(arm: string): Promise<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface Arm {
  /** Lower-case letters, digits, dashes. */
  readonly name: string;
  /** Everything that decides the arm's numbers: recipe, seed, data; JSON. */
  readonly definition: unknown;
  run(context: ArmContext): Promise<ArmOutcome>;
}

export type ArmEvent =
  | { readonly kind: "kept"; readonly row: ArmRow }
  | { readonly kind: "started"; readonly arm: string }
  | { readonly kind: "finished"; readonly row: ArmRow };

async function readRow(folder: string, { name, definition }: Arm): Promise<ArmRow | undefined> {
  const path = join(folder, `${name}.json`);
  if (!existsSync(path)) return undefined;
  const row = rowSchema.safeParse(JSON.parse(await readFile(path, "utf8")));
  if (!row.success) throw new NextxError("CLAIM_DAMAGED_ARM", `${path} is not the row of an arm.`, { path });
  return row.data.definition === definitionHash(definition) ? row.data : undefined;
}

/** Hash of a definition's JSON. */
export function definitionHash(definition: unknown): string {
  return sha256Hex(JSON.stringify(definition)).slice(0, 16);
}

/** Runs what is missing, in order; rows and weights go into `folder`. @throws NextxError of the arms, ABORTED */
export async function* runArms(
  folder: string,
  arms: readonly Arm[],
  signal?: AbortSignal,
): AsyncGenerator<ArmEvent> {
  await mkdir(folder, { recursive: true });
  const rows = new Map<string, ArmRow>();
  const model = async (name: string): Promise<Uint8Array> => {
    const checkpoint = rows.get(name)?.checkpoint;
    if (checkpoint === undefined)
      throw new NextxError("CLAIM_MISSING_ARM", `Arm "${name}" has no model yet.`, { path: name });
    const bytes = await readFile(join(folder, checkpoint.file));
    if (sha256Hex(bytes) === checkpoint.sha256) return bytes;
    throw new NextxError("CLAIM_DAMAGED_ARM", `${checkpoint.file} is not what its row says.`, { path: name });
  };
  for (const arm of arms) {
    if (signal?.aborted) throw new NextxError("ABORTED", "The claim was stopped.");
    const known = await readRow(folder, arm);
    if (known) {
      rows.set(arm.name, known);
      yield { kind: "kept", row: known };
      continue;
    }
    yield { kind: "started", arm: arm.name };
    const row = await runOne(folder, arm, { rows, model, ...(signal && { signal }) });
    rows.set(arm.name, row);
    yield { kind: "finished", row };
  }
}

async function runOne(folder: string, arm: Arm, context: ArmContext): Promise<ArmRow> {
  const startMs = performance.now();
  const { numbers, model } = await arm.run(context);
  const file = `${arm.name}.safetensors`;
  if (model) await writeFileDurably(join(folder, file), model);
  const row: ArmRow = {
    arm: arm.name,
    definition: definitionHash(arm.definition),
    numbers,
    minutes: Number(((performance.now() - startMs) / 60_000).toFixed(2)),
    ...(model && { checkpoint: { file, sha256: sha256Hex(model) } }),
  };
  await writeFileDurably(join(folder, `${arm.name}.json`), `${JSON.stringify(row, null, 1)}\n`);
  return row;
}

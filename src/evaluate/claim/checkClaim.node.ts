/**
 * Whether a committed result still holds: its verdict follows from its numbers, its numbers from the committed rows, rows
 * and weights are those of the code's definitions, and what is cheap is computed again from the weights.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256Hex } from "../../formats/durable.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type Arm, type ArmRow, armContext, definitionHash, readRow } from "./arms.node.ts";
import type { Claim, Rows } from "./claim.ts";
import { contradictions, differences, type Result } from "./result.ts";
import { type ClaimPaths, composeResult, lackingArms, readResult } from "./runClaim.node.ts";

/** What looking at one part found. */
export interface ClaimCheck {
  /** `result`, or the name of an arm. */
  readonly part: string;
  /** What was done, in words. */
  readonly did: string;
  /** Empty when the part holds. */
  readonly problems: readonly string[];
}

export interface CheckClaimOptions {
  readonly paths: ClaimPaths;
  /** Compute everything again that can be, not only what makes a check of minutes. */
  readonly all?: boolean;
  readonly signal?: AbortSignal;
}

/** Codes of what a machine may lack without the result being wrong. */
const lacking = /^(DATA_|CLAIM_NO_FEATURES$|OPTIONAL_DEPENDENCY_MISSING$)/;

/** Yields one check per part. @throws NextxError CLAIM_NO_RESULT, CLAIM_BAD_RESULT, CLAIM_DAMAGED_ARM, ABORTED */
export async function* checkClaim(
  claim: Claim,
  { paths, all = false, signal }: CheckClaimOptions,
): AsyncGenerator<ClaimCheck> {
  const result = await readResult(paths.result);
  if (result === undefined)
    throw new NextxError("CLAIM_NO_RESULT", `There is no ${paths.result}.`, {
      path: paths.result,
      hint: `nextx claim ${claim.system} makes it.`,
    });
  const rows = new Map<string, ArmRow>();
  for (const { name } of claim.arms) {
    const row = await readRow(paths.arms, name);
    if (row) rows.set(name, row);
  }
  yield {
    part: "result",
    did: "verdict from numbers, numbers from rows",
    problems: told(claim, rows, result),
  };
  for (const arm of claim.arms) {
    if (signal?.aborted) throw new NextxError("ABORTED", "The check was stopped.");
    const row = rows.get(arm.name);
    const recompute = arm.isSlowToCheck && !all ? undefined : arm.recompute;
    if (row) yield await checkArm(paths.arms, { ...arm, recompute }, row, rows, signal);
    else if (!arm.isExtra) yield { part: arm.name, did: "nothing", problems: ["its row is missing"] };
  }
}

/** What of a result does not follow from itself, from the rows, or from the code's targets. */
function told(claim: Claim, rows: Rows, result: Result): string[] {
  const wrong = contradictions(result);
  if (lackingArms(claim, rows).length > 0) return wrong;
  const { revision, command, machineClass } = result.provenance;
  const fresh = composeResult(claim, rows, { revision, command, machineClass });
  wrong.push(...differences(result, fresh.measures, 1e-9));
  for (const measure of result.measures) {
    const own = fresh.measures.find(({ name }) => name === measure.name);
    if (own === undefined) wrong.push(`"${measure.name}" is no measure of this claim`);
    else if (JSON.stringify(ruleOf(own)) !== JSON.stringify(ruleOf(measure)))
      wrong.push(`"${measure.name}": the file has another target, unit or baseline than the code`);
  }
  const { measures: _, verdict: __, ...rest } = fresh;
  for (const [key, value] of Object.entries(rest))
    if (JSON.stringify(value) !== JSON.stringify(result[key as keyof Result]))
      wrong.push(`${key}: the file does not say what rows and code give`);
  return wrong;
}

/** Everything of a measure but its numbers and its judgement. */
const ruleOf = ({ name, unit, better, baselineName, target, headline }: Result["measures"][number]) => [
  ...[name, unit, better, baselineName, headline],
  target.map(({ quantity, over, atMost, atLeast }) => [quantity, over, atMost, atLeast]),
];

async function checkArm(
  folder: string,
  arm: Pick<Arm, "name" | "definition"> & { readonly recompute: Arm["recompute"] },
  row: ArmRow,
  rows: Rows,
  signal: AbortSignal | undefined,
): Promise<ClaimCheck> {
  const problems: string[] = [];
  if (row.definition !== definitionHash(arm.definition))
    problems.push("its row was made with another definition: run the claim again");
  for (const { file, sha256 } of [...(row.checkpoint ? [row.checkpoint] : []), ...(row.pictures ?? [])]) {
    const bytes = await readFile(join(folder, file)).catch(() => undefined); // told below
    if (bytes === undefined || sha256Hex(bytes) !== sha256) problems.push(`${file} is not what its row says`);
  }
  if (arm.recompute === undefined || problems.length > 0)
    return { part: arm.name, did: "row and files", problems };
  try {
    const { numbers, tolerance } = await arm.recompute(armContext(folder, rows, signal));
    return {
      part: arm.name,
      did: `${Object.keys(numbers).length} numbers computed again`,
      problems: moved(row, numbers, tolerance),
    };
  } catch (error) {
    if (!(error instanceof NextxError && lacking.test(error.code))) throw error;
    return { part: arm.name, did: `row and files; not computed again: ${error.message}`, problems };
  }
}

function moved(row: ArmRow, fresh: ArmRow["numbers"], tolerance: number): string[] {
  return Object.entries(fresh).flatMap(([name, value]) => {
    const [now, then] = [[value].flat(), [row.numbers[name] ?? []].flat()];
    const isSame =
      now.length === then.length &&
      now.every((one, i) => Math.abs(one - (then[i] as number)) <= tolerance * Math.abs(then[i] as number)); // same length
    return isSame ? [] : [`"${name}" is ${now.join(", ")}, its row says ${then.join(", ")}`];
  });
}

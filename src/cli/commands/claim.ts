/** `nextx claim SYSTEM`: measures what a system claims, arm by arm; `--check` asks whether a committed result still holds. */
import type { Command } from "commander";
import { checkClaim, claim, claimIds } from "../../claim.node.ts";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import type { ArmRow } from "../../evaluate/claim/arms.node.ts";
import type { Measure } from "../../evaluate/claim/result.ts";
import type { ClaimEvent } from "../../evaluate/claim/runClaim.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { duration, exitCodes, interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags extends DeviceFlags {
  readonly arms?: string;
  readonly out: string;
  readonly data?: string;
  readonly check?: boolean;
  readonly all?: boolean;
}

/** Declares the command. */
export function define(command: Command, context: Context): void {
  addDeviceFlags(command)
    .argument("<system>", `whose claim: ${claimIds().join(", ")}`)
    .option("--arms <names>", "run these arms only: names, or what stands before a dash, with commas")
    .option("-o, --out <folder>", "folder of results; what is there is kept and continued", "results")
    .option("--data <folder>", "folder of data sets and foreign weights (default: NEXTX_DATA)")
    .option("--check", "run nothing: is the result that lies there still true?")
    .option("--all", "with --check: compute again what takes longer than minutes, too")
    .option("--json", "machine output: one event per line");
  command.action((system: string, flags: Flags) => run(system, flags, context));
}

async function run(system: string, flags: Flags, { json, version }: Context): Promise<void> {
  const dataRoot = flags.data ?? dataRootFromEnvironment();
  const line = new ProgressLine();
  const options = {
    ...{ out: flags.out, version, signal: interruptSignal() },
    ...deviceOptions(flags),
    onProgress: (text: string) => {
      if (!json) line.update(text);
    },
    ...(dataRoot !== undefined && { dataRoot }),
    ...(flags.arms !== undefined && { arms: flags.arms.split(",").filter((word) => word !== "") }),
  };
  try {
    if (flags.all && !flags.check) {
      throw new NextxError("CLI_ALL_NEEDS_CHECK", "--all belongs to --check: a claim runs all of its arms.", {
        path: "all",
      });
    }
    if (flags.check) return await check(system, { ...options, ...(flags.all && { all: true }) }, line, json);
    for await (const event of claim(system, options)) {
      line.end();
      if (json) printJson(event);
      else for (const text of linesOf(event, system)) print(text);
    }
  } catch (error) {
    line.end();
    if (error instanceof NextxError && error.code === "ABORTED" && !json)
      print(`finished arms are kept; continue: nextx claim ${system}`);
    throw error;
  } finally {
    line.end();
  }
}

async function check(
  system: string,
  options: Parameters<typeof checkClaim>[1],
  line: ProgressLine,
  json: boolean,
): Promise<void> {
  let wrong = 0;
  for await (const { part, did, problems } of checkClaim(system, options)) {
    line.end();
    wrong += problems.length;
    if (json) printJson({ part, did, problems });
    else print(`${problems.length === 0 ? "ok   " : "WRONG"} ${part} (${did})`);
    if (!json) for (const problem of problems) print(`        ${problem}`);
  }
  if (wrong > 0) process.exitCode = exitCodes.failed;
  if (!json) print(wrong === 0 ? "the result holds" : `${wrong} things do not hold`);
}

const took = ({ arm, minutes }: ArmRow): string => `${arm} (${duration(minutes * 60_000)})`;
const figure = (value: number): string => String(Number(value.toPrecision(4)));

/** What happened, line by line. */
function linesOf(event: ClaimEvent, system: string): string[] {
  switch (event.kind) {
    case "kept":
      return [`kept      ${took(event.row)}`];
    case "missing":
      return [`not run   ${event.arm}`];
    case "started":
      return [`started   ${event.arm}`];
    case "finished":
      return [`finished  ${took(event.row)}`];
    case "measured": {
      const [all, needed] = [event.missing.length, event.needed.length];
      const what = needed > 0 ? `${all} arms have not run: no result yet` : `${all} extra arms have not run`;
      const rest = `${what} (nextx claim ${system} runs them)`;
      return [...event.measures.map(measureLine), ...(all > 0 ? [rest] : [])];
    }
    case "judged":
      return [`${event.result.verdict}: ${event.path}${event.isWritten ? "" : " (as it was)"}`];
    default:
      return event satisfies never;
  }
}

function measureLine({ name, unit, system, baseline, baselineName, holds, headline }: Measure): string {
  const against = baseline.length > 0 ? ` against ${baseline.map(figure).join(", ")} (${baselineName})` : "";
  const kind = headline ? "" : ", not a headline";
  return `${holds ? "holds " : "misses"}    ${name}: ${system.map(figure).join(", ")} ${unit}${against}${kind}`;
}

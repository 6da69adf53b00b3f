/** `nextx arena image|series`: systems of one kind under one budget of time, trained, measured and compared. */
import { Argument, type Command } from "commander";
import { type ArenaEvent, type ArenaKind, arena, arenaKinds } from "../../arena.node.ts";
import type { ArenaResult } from "../../claims/arena/result.ts";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { decimal, integer } from "../numbers.ts";
import { duration, interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags extends DeviceFlags {
  readonly budget: number;
  readonly seed: number;
  readonly samples: number;
  readonly only?: string;
  readonly out: string;
  readonly data?: string;
}

/** Declares the command. */
export function define(command: Command, context: Context): void {
  addDeviceFlags(command)
    .addArgument(new Argument("<kind>", "what is contested").choices(arenaKinds))
    .option("--budget <minutes>", "minutes that each contestant trains", decimal(0.01, 1440), 15)
    .option("--only <names>", "run these contestants only, with commas; others keep what they have")
    .option("--seed <n>", "seed of trainings", integer(0, 2 ** 32 - 1), 1)
    .option("--samples <n>", "with image: judged pictures", integer(24, 10_000), 2000)
    .option("-o, --out <folder>", "folder of results; what is there is kept and continued", "results")
    .option("--data <folder>", "folder of data sets and foreign weights (default: NEXTX_DATA)")
    .option("--json", "machine output: one event per line");
  command.action((kind: ArenaKind, flags: Flags) => run(kind, flags, context));
}

async function run(kind: ArenaKind, flags: Flags, { json, version }: Context): Promise<void> {
  const dataRoot = flags.data ?? dataRootFromEnvironment();
  const { budget: budgetMinutes, seed, samples, out, only } = flags;
  const line = new ProgressLine();
  const options = {
    ...{ out, version, budgetMinutes, seed, samples, signal: interruptSignal() },
    ...deviceOptions(flags),
    ...(only !== undefined && { only: only.split(",").filter((word) => word !== "") }),
    ...(dataRoot !== undefined && { dataRoot }),
    onProgress: (text: string) => {
      if (!json) line.update(text);
    },
  };
  try {
    for await (const event of arena(kind, options)) {
      line.end();
      if (json) printJson(event);
      else for (const text of linesOf(event, kind)) print(text);
    }
  } catch (error) {
    line.end();
    if (error instanceof NextxError && error.code === "ABORTED" && !json)
      print(`finished parts are kept; continue: nextx arena ${kind}`);
    throw error;
  } finally {
    line.end();
  }
}

function linesOf(event: ArenaEvent, kind: ArenaKind): string[] {
  switch (event.kind) {
    case "kept":
    case "finished":
      return [`${event.kind.padEnd(9)} ${event.row.arm} (${duration(event.row.minutes * 60_000)})`];
    case "missing":
    case "started":
      return [`${event.kind === "missing" ? "not run" : "started"}   ${event.arm}`];
    case "composed":
      return [...(kind === "image" ? imageTable(event.result) : seriesTable(event.result)), event.path];
    default:
      return event satisfies never;
  }
}

const figure = (value: number): string => String(Number(value.toPrecision(3)));
const missingLine = (missing: readonly string[]) =>
  missing.length > 0 ? [`not there yet: ${missing.join(", ")}`] : [];

/** Rows of words, padded to columns. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function imageTable({ image }: ArenaResult): string[] {
  if (image === null) return [];
  const { entries, missing, budgetMinutes, seed, samples, data } = image;
  const head = [
    "system",
    "next",
    "parameters",
    "steps",
    "distance",
    "right class",
    "1 picture",
    "8",
    "runs",
    "memory",
  ];
  const rows = entries.map((entry) => [
    entry.title,
    entry.predicts,
    `${(entry.parameters / 1e6).toFixed(2)} M`,
    entry.steps.join(" + "),
    entry.distances.map(({ distance }) => figure(distance)).join(" / "),
    entry.accuracy === null ? "" : `${(100 * entry.accuracy).toFixed(0)} %`,
    `${figure(entry.oneMs)} ms`,
    `${figure(entry.eightMs)} ms`,
    String(entry.programRuns),
    `${(entry.peakBytes / 2 ** 20).toFixed(0)} MiB`,
  ]);
  return [
    `${data}: ${budgetMinutes} minutes of training each, one seed (${seed}), ${samples} pictures`,
    ...table([head, ...rows]),
    ...missingLine(missing),
  ];
}

function seriesTable({ series }: ArenaResult): string[] {
  if (series === null) return [];
  const { entries, missing, budgetMinutes, seed } = series;
  const head = ["benchmark", "model", "MSE", "MAE", "parameters", "steps", "ms per forecast"];
  const rows = entries.map((entry) => [
    entry.benchmark,
    entry.title,
    ...[entry.mse, entry.mae].map(figure),
    ...[entry.parameters, entry.steps].map(String),
    entry.steps > 0 ? figure(entry.windowMs) : "",
  ]);
  return [
    `${budgetMinutes} minutes of training each, one seed (${seed})`,
    ...table([head, ...rows]),
    ...missingLine(missing),
  ];
}

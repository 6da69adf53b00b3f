/** `nextx train SYSTEM|RUN`: begins or continues a run. Ctrl-C saves and leaves it resumable. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { shellWord } from "../../formats/shellWord.ts";
import type { Metrics } from "../../regimen/trainer.ts";
import type { TrainEvent } from "../../regimen/trainRun.node.ts";
import { writeRunReport } from "../../report.node.ts";
import { resolveRecipe, type Trainable } from "../../resolveRecipe.ts";
import { seriesSystems } from "../../systems/registry.ts";
import { NextxError } from "../../tensor/errors.ts";
import { systemOfRun, train } from "../../train.node.ts";
import { trainableOf, trainables } from "../../trainables.ts";
import { type Context, firstWord } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { addSchemaFlags, readSchemaFlags } from "../flags.ts";
import { integer } from "../numbers.ts";
import {
  duration,
  exitCodes,
  interruptSignal,
  memoryText,
  ProgressLine,
  print,
  printJson,
} from "../output.ts";

interface Flags extends DeviceFlags, Readonly<Record<string, unknown>> {
  readonly recipe?: string;
  readonly from?: string;
  readonly out?: string;
  readonly data?: string;
  readonly checkpointEvery: number;
  readonly observeEvery: number;
  readonly logEvery: number;
}

const isRun = (path: string | undefined): path is string =>
  path !== undefined && existsSync(join(path, "run.json"));

async function systemFor(word: string | undefined): Promise<Trainable> {
  const [first] = trainables.values();
  const id = (isRun(word) ? await systemOfRun(word) : word) ?? "";
  const system = trainables.get(id) ?? first; // an unknown one is reported when it runs
  if (system === undefined) throw new NextxError("SYSTEM_UNKNOWN", "No system can be trained.");
  return system;
}

/** The recipe that a command line names, before it is parsed: help tells its values. */
function recipeWord(argv: readonly string[]): string | undefined {
  const at = argv.findIndex((word) => word === "-r" || word === "--recipe");
  return at < 0 ? argv.find((word) => word.startsWith("--recipe="))?.slice(9) : argv[at + 1];
}

/** Declares the command. */
export async function define(command: Command, context: Context): Promise<void> {
  const system = await systemFor(firstWord(context, (word) => trainables.has(word) || isRun(word)));
  addDeviceFlags(command)
    .argument("<system>", "system id, or the folder of a run to continue")
    .option("-r, --recipe <name>", `one of ${Object.keys(system.recipes).join(", ")}`)
    .option(
      "--from <model>",
      "train the last stage only, from this model's weights, with its sizes and the data and schedules it is known for",
    )
    .option("-o, --out <folder>", "run folder (default: runs/<system>-<recipe>); an unfinished run continues")
    .option("--data <folder>", "folder that holds the data sets (default: NEXTX_DATA)")
    .option("--checkpoint-every <n>", "steps between checkpoints", integer(1, 1_000_000), 250)
    .option("--observe-every <n>", "steps between looks at held-out data", integer(1, 1_000_000), 500)
    .option("--log-every <n>", "steps between rows of the log", integer(1, 1_000_000), 10)
    .option("--json", "machine output: one event per line");
  const recipe = recipeWord(context.argv) ?? system.defaultRecipe;
  const values = Object.hasOwn(system.recipes, recipe) ? resolveRecipe(system, recipe) : {};
  addSchemaFlags(command, system.recipeSchema, `Values of the recipe (${system.id}, ${recipe}):`, values);
  command.action((word: string, flags: Flags) => run(word, flags, system, context));
}

async function run(word: string, flags: Flags, system: Trainable, { version, json }: Context): Promise<void> {
  const id = isRun(word) ? await systemOfRun(word) : trainableOf(word).id;
  const folder = isRun(word)
    ? word
    : (flags.out ??
      join("runs", `${id}-${flags.recipe ?? system.defaultRecipe}${flags.from ? "-continued" : ""}`));
  const dataRoot = flags.data ?? dataRootFromEnvironment();
  const overrides = readSchemaFlags(system.recipeSchema, flags);
  const signal = interruptSignal();
  const line = new ProgressLine();
  const events = train(id, {
    folder,
    version,
    signal,
    ...deviceOptions(flags),
    every: { checkpoint: flags.checkpointEvery, observe: flags.observeEvery, log: flags.logEvery },
    ...(flags.recipe !== undefined && { recipe: flags.recipe }),
    ...(flags.from !== undefined && { from: flags.from }),
    ...(overrides && { overrides }),
    ...(dataRoot !== undefined && { dataRoot }),
    onProgress: (text, done, total) => {
      if (!json) line.update(`${text} ${done}/${total}`);
    },
  });
  try {
    for await (const event of events) {
      if (json) printJson(forMachines(event));
      else show(event, line);
      if (event.kind === "observed" || event.kind === "stopped" || event.kind === "finished")
        await writeRunReport(folder);
      if (event.kind === "stopped") process.exitCode = exitCodes.interrupted;
      if (event.kind === "finished" && !json) {
        print(`${event.model}\nreport: ${join(folder, "report.html")}`);
        print(
          `next: nextx ${seriesSystems.has(id) ? `eval ${folder}` : `sample ${folder} --count 16 --out grid.png`}`,
        );
      }
      if (event.kind === "stopped" && !json) print(`continue: nextx train ${shellWord(folder)}`);
    }
  } finally {
    line.end();
  }
}

function forMachines(event: TrainEvent): unknown {
  if (event.kind !== "observed") return event;
  const { observation, ...rest } = event;
  return { ...rest, metrics: observation.metrics };
}

const short = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** Metrics in one line; lists per scale are joined by slashes. */
function metricsText(metrics: Metrics, names?: readonly string[]): string {
  return Object.entries(metrics)
    .filter(([name]) => names === undefined || names.includes(name))
    .map(
      ([name, value]) => `${name} ${typeof value === "number" ? short(value) : value.map(short).join("/")}`,
    )
    .join("  ");
}

const watched = ["codebookUsage", "codebookPerplexity", "deadCodes", "accuracy", "scaleLoss"];

function show(event: TrainEvent, line: ProgressLine): void {
  switch (event.kind) {
    case "step": {
      const { stage, steps, report, samplesPerSecond, remainingMs } = event;
      const isLast = report.step === steps;
      line.update(
        `${stage} ${report.step}/${steps}  loss ${report.loss.toFixed(4)}  ${short(samplesPerSecond)}/s  ` +
          `${duration(remainingMs)} left  ${memoryText()}  ${metricsText(report.metrics, watched)}`,
        isLast,
      );
      return;
    }
    case "stage":
      line.end();
      print(
        `stage ${event.stage}: ${event.parameters} parameters, ${event.steps} steps, from step ${event.from}`,
      );
      return;
    case "observed":
      line.end();
      print(
        `  held out at step ${event.step}: ${metricsText(event.observation.metrics)}  ${event.file ?? ""}`,
      );
      return;
    case "stopped":
      line.end();
      print(`saved at step ${event.step} of ${event.stage}`);
      return;
    case "notice":
      line.end();
      print(`note: ${event.text}`);
      return;
    case "saved":
    case "finished":
      return;
    default:
      event satisfies never;
  }
}

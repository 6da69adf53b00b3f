/** `nextx dynamics MODEL...`: what scale-wise models know on the true past and on their own, scale by scale. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { dynamics } from "../../dynamics.node.ts";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import type { DynamicsReport } from "../../evaluate/dynamics/measure.ts";
import { isDynamicsPage, renderDynamicsPage } from "../../evaluate/dynamics/page.ts";
import { load } from "../../load.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { dynamicsHeading, dynamicsTable } from "../dynamicsTable.ts";
import { makeFolder, writeOutput } from "../files.ts";
import { integer } from "../numbers.ts";
import { endWithParent, interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags extends DeviceFlags {
  readonly count: number;
  readonly seed: number;
  readonly corruptRate: number;
  readonly schedule?: readonly number[];
  readonly set?: string;
  readonly split: string;
  readonly data?: string;
  readonly out?: string;
  readonly force?: boolean;
}

const names = { json: "dynamics.json", page: "dynamics.html" } as const;
const mostModels = 12;

function fraction(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError("It is a number from 0 to 1.");
  return value;
}

function sides(text: string): number[] {
  const parsed = text.split(",").map(Number);
  if (parsed.some((side) => !(Number.isInteger(side) && side >= 1)))
    throw new InvalidArgumentError("It is a list of sides such as 1,2,4,8.");
  return parsed;
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  addDeviceFlags(command)
    .argument("<models...>", "shipped models, system ids, run folders or files of scale-wise models")
    .option("-n, --count <n>", "held-out pictures", integer(1, 10_000), 256)
    .option("-s, --seed <n>", "seed of rollouts and corruption", integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option(
      "--corrupt-rate <share>",
      "share of a corrupted scale's tokens that is drawn anew",
      fraction,
      0.25,
    )
    .option("--schedule <n,n,...>", "sides of the scales, for models that know many", sides)
    .option("--set <id>", "data set (default: the model's own)")
    .option("--split <name>", "test or validation", "test")
    .option("--data <folder>", "folder of data sets (default: NEXTX_DATA)")
    .option("-o, --out <folder>", `write ${names.json} and ${names.page} with plots`)
    .option("--force", "replace files that nextx did not make")
    .option("--json", "machine output")
    .action((models: string[], flags: Flags) => run(models, flags, json));
}

async function run(models: readonly string[], flags: Flags, json: boolean): Promise<void> {
  const { count, seed, corruptRate, schedule, set, split, out } = flags;
  if (split !== "test" && split !== "validation")
    throw new NextxError("CLI_BAD_SPLIT", `A held-out split is test or validation, got ${split}.`, {
      path: "split",
    });
  if (models.length > mostModels)
    throw new NextxError("CLI_TOO_MANY_MODELS", `At most ${mostModels} models stand side by side.`);
  if (out !== undefined) {
    await makeFolder(out);
    requireOurs(out, flags.force === true);
  }
  const dataRoot = flags.data ?? dataRootFromEnvironment();
  endWithParent(); // the server measures with this command
  const line = new ProgressLine(5000);
  const signal = interruptSignal();
  const reports: DynamicsReport[] = [];
  for (const name of models) {
    using model = await load(name, deviceOptions(flags));
    const report = await dynamics(model, {
      ...{ count, seed, corruptRate, split, signal, ...deviceOptions(flags) },
      ...(schedule && { schedule }),
      ...(set !== undefined && { set }),
      ...(dataRoot !== undefined && { dataRoot }),
      onProgress: (text, done, total) => line.update(`${name}: ${text} ${done} of ${total}`),
    });
    reports.push(report);
  }
  line.end();
  const result = { nextx: "dynamics", version: 1, models: reports };
  if (out !== undefined) {
    const encode = (text: string) => new TextEncoder().encode(text);
    await writeOutput(join(out, names.json), encode(`${JSON.stringify(result, undefined, 1)}\n`));
    await writeOutput(join(out, names.page), encode(renderDynamicsPage(reports)));
  }
  if (json) return printJson(result);
  for (const text of [...dynamicsHeading(reports), "", ...dynamicsTable(reports)]) print(text);
  if (out !== undefined) print(`\nplots and numbers: ${join(out, names.page)}, ${join(out, names.json)}`);
}

function isOurJson(text: string): boolean {
  try {
    return (JSON.parse(text) as { nextx?: unknown } | null)?.nextx === "dynamics";
  } catch {
    return false; // no JSON, so not ours
  }
}

/** Refuses to replace files of others, before the work begins. @throws NextxError FILE_EXISTS */
function requireOurs(folder: string, force: boolean): void {
  for (const [name, isOurs] of [
    [names.json, isOurJson],
    [names.page, isDynamicsPage],
  ] as const) {
    const path = join(folder, name);
    if (force || !existsSync(path) || isOurs(readFileSync(path, "utf8"))) continue;
    throw new NextxError("FILE_EXISTS", `${path} exists and is no page of dynamics.`, {
      path,
      hint: "Choose another folder, or pass --force.",
    });
  }
}

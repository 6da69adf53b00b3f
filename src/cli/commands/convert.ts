/** `nextx convert IN... OUT`: published checkpoints as one safetensors file, with the fate of every tensor. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  ConvertFailure,
  type ConvertOptions,
  type ConvertReport,
  convert,
  isProblem,
} from "../../convert.node.ts";
import type { TensorGroup } from "../../formats/dictGroups.ts";
import { shellWord } from "../../formats/shellWord.ts";
import { openTensors } from "../../formats/tensorFile.node.ts";
import type { TensorFate } from "../../regimen/officialMatch.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { requireReplaceable } from "../files.ts";
import { interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags {
  readonly key?: readonly string[];
  readonly set?: Readonly<Record<string, unknown>>;
  readonly classNames?: string;
  readonly dtype?: "f32" | "f16" | "bf16";
  readonly tensors?: boolean;
  readonly force?: boolean;
}

/** Files above this show their progress. */
const slowBytes = 1e8;

/** `tokenizer.numGroups=16`, `transformer.patchNums=1,2,3`: numbers, lists of numbers, true, false, else text. */
function parseSetting(text: string, before: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const [path, value] = text.split(/=(.*)/s);
  if (!path || value === undefined || value === "")
    throw new InvalidArgumentError("A setting is PART.KEY=VALUE.");
  const plain = (word: string): unknown => {
    if (word === "true" || word === "false") return word === "true";
    return word.trim() !== "" && Number.isFinite(Number(word)) ? Number(word) : word;
  };
  return { ...before, [path]: value.includes(",") ? value.split(",").map(plain) : plain(value) };
}

/** Declares the command. */
export function define(command: Command, context: Context): void {
  command
    .argument(
      "<in...>",
      "checkpoints (.pth, .safetensors, an index of several, .npz), then the file to write",
    )
    .option(
      "--key <key>",
      "which of several state dicts, such as ema; repeatable",
      (key, before: string[] = []) => [...before, key],
    )
    .option("--set <part.key=value>", "configuration that a file does not say; repeatable", parseSetting)
    .option("--class-names <file>", "names of the classes, one a line")
    .addOption(
      new Option("--dtype <type>", "store floating tensors so (default: as they are)").choices([
        "f32",
        "f16",
        "bf16",
      ]),
    )
    .option("--tensors", "every tensor's fate, not only the counts")
    .option("--force", "replace an existing file")
    .option("--json", "machine output")
    .action((paths: readonly string[], flags: Flags) => run(paths, flags, context));
}

async function run(paths: readonly string[], flags: Flags, { json }: Context): Promise<void> {
  const [inputs, out] = [paths.slice(0, -1), paths.at(-1)];
  if (inputs.length === 0 || out === undefined)
    throw needsOutput("Name the checkpoints, then the file to write.");
  await requireOutput(out);
  requireReplaceable(out, flags.force === true);
  const line = new ProgressLine(5000);
  const options: ConvertOptions = {
    ...(flags.key && { keys: flags.key }),
    ...(flags.set && { settings: flags.set }),
    ...(flags.classNames !== undefined && { classNames: readLines(flags.classNames) }),
    ...(flags.dtype && { dtype: flags.dtype.toUpperCase() as "F32" | "F16" | "BF16" }),
    onProgress: (written, total) => {
      if (total > slowBytes) line.update(`${megabytes(written)} of ${megabytes(total)}`);
    },
    signal: interruptSignal(),
  };
  try {
    const report = await convert(inputs, out, options);
    line.end();
    if (json) printJson({ out, ...report });
    else printReport(report, out, flags.tensors === true);
  } catch (error) {
    if (!(error instanceof NextxError) || !(error.cause instanceof ConvertFailure)) throw error;
    if (json) printJson(error.cause.report);
    else printReport(error.cause.report, undefined, true);
    throw error;
  }
}

const needsOutput = (message: string): NextxError =>
  new NextxError("CLI_CONVERT_NEEDS_OUTPUT", message, {
    hint: "nextx convert var_d16.pth vae_ch160v4096z32.pth var-d16.safetensors",
  });

/** Names of files that are read, never written. */
const inputName = /\.(pth|pt|ckpt|bin|npz|index\.json)$/i;

/** Whether a checkpoint lies there that does not say it is a model of nextx. */
async function isForeignCheckpoint(path: string): Promise<boolean> {
  try {
    await using file = await openTensors(path);
    return !file.metadata.has("nextx");
  } catch {
    return false; // whatever it is, it is no checkpoint, or not there
  }
}

/**
 * The last file is written. Where it is a checkpoint, it was meant to be read and the one to write was forgotten: with
 * --force too, it stays.
 * @throws NextxError CLI_CONVERT_NEEDS_OUTPUT
 */
async function requireOutput(out: string): Promise<void> {
  const message = `${out} comes last, so it would be written. Name the checkpoints, then the file to write.`;
  if (inputName.test(out) || (await isForeignCheckpoint(out))) throw needsOutput(message);
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").trim().split(/\r?\n/);
  } catch (cause) {
    throw new NextxError("FILE_NOT_FOUND", `${path} cannot be read.`, { path, cause });
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const shapeOf = (shape: readonly number[] = []): string => `[${shape.join(", ")}]`;

/** Groups of tensors that are listed for each file. */
const shownGroups = 20;

function groupText({ key, tensors, dicts }: TensorGroup): string {
  const where = key === "" ? "" : ` at "${key}"`;
  return `${tensors} tensors${where}${dicts === undefined ? "" : ` in ${dicts} dicts`}`;
}

function fateLine({ fate, name, as, shape, expected, why }: TensorFate): string {
  const notes = [
    fate === "renamed" ? `as ${as}` : "",
    shapeOf(shape ?? expected),
    fate === "wrong shape" ? `the model has ${shapeOf(expected)}` : "",
    why ?? "",
  ];
  return `  ${fate.padEnd(11)}  ${name}  ${notes.filter((note) => note !== "").join(", ")}`;
}

function printReport(report: ConvertReport, out: string | undefined, all: boolean): void {
  for (const { part, file, key, summary } of report.parts)
    print(`${part}: ${summary}\n  from ${file}${key === "" ? "" : `, ${key}`}`);
  for (const { path, ignored } of report.inputs) {
    for (const group of ignored.slice(0, shownGroups)) print(`not taken: ${groupText(group)} of ${path}`);
    if (ignored.length > shownGroups)
      print(`not taken: ${ignored.length - shownGroups} more groups of ${path}`);
  }
  const counts = Object.entries(report.counts).filter(([, count]) => count > 0);
  print(`tensors: ${counts.map(([fate, count]) => `${count} ${fate}`).join(", ")}`);
  for (const fate of report.tensors) if (all || isProblem(fate.fate)) print(fateLine(fate));
  if (out === undefined) return;
  print(`${out}: ${megabytes(report.sizeBytes ?? 0)}`);
  if (report.isModel) print(`next: nextx sample ${shellWord(out)} --class 0 --out a.png`);
  else print(`next: to sample, convert it again together with a ${report.absent.join(" and a ")}`);
}

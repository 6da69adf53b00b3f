/** `nextx quantize MODEL --to KIND --out FILE`: a model in fewer bits, with the error of every layer. */
import { type Command, Option } from "commander";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { shellWord } from "../../formats/shellWord.ts";
import {
  type QuantizedLayer,
  type QuantizeOptions,
  type QuantizeReport,
  quantiseKinds,
  quantize,
} from "../../quantize.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { requireReplaceable } from "../files.ts";
import { integer } from "../numbers.ts";
import { interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags {
  readonly to: string;
  readonly out: string;
  readonly convolutions: "float" | "calibrated";
  readonly calibration: "model" | "data";
  readonly count: number;
  readonly seed: number;
  readonly bits?: "7" | "8";
  readonly keep?: readonly string[];
  readonly set?: string;
  readonly data?: string;
  readonly threads: number;
  readonly layers?: boolean;
  readonly force?: boolean;
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .argument("<model>", "shipped model, system id, run folder or file")
    .requiredOption("--to <kind>", quantiseKinds.join(", "))
    .requiredOption("-o, --out <file>", "file to write")
    .addOption(
      new Option("--convolutions <how>", "with int8: in float32, or with bytes in calibrated ranges")
        .choices(["float", "calibrated"])
        .default("float"),
    )
    .addOption(
      new Option("--calibration <pictures>", "drawn by the model, or of its data set too")
        .choices(["model", "data"])
        .default("model"),
    )
    .option("--count <n>", "pictures that calibrate and measure", integer(1, 1000), 8)
    .option("--seed <n>", "of the model's pictures", integer(0, Number.MAX_SAFE_INTEGER), 0)
    .addOption(
      new Option("--bits <n>", "of int8 weights (default: 7 without VNNI, else 8)").choices(["7", "8"]),
    )
    .option(
      "--keep <start>",
      "weights whose names start so stay; repeatable",
      (start, before: string[] = []) => [...before, start],
    )
    .option("--set <id>", "data set, where the model does not say it")
    .option("--data <folder>", "folder of data sets (default: NEXTX_DATA)")
    .option("--threads <n>", "threads of the processor", integer(1, 256), 2)
    .option("--layers", "every layer's error, not only the largest")
    .option("--force", "replace an existing file")
    .option("--json", "machine output")
    .action((name: string, flags: Flags) => run(name, flags, json));
}

async function run(name: string, flags: Flags, json: boolean): Promise<void> {
  requireReplaceable(flags.out, flags.force === true);
  const line = new ProgressLine(5000);
  const { to, convolutions, calibration, count, seed, threads, keep, set } = flags;
  if (to !== "int8" && convolutions === "calibrated") {
    throw new NextxError("CLI_FLAGS_CONTRADICT", `Only int8 has calibrated convolutions, not ${to}.`, {
      path: "convolutions",
    });
  }
  const dataRoot = flags.data ?? dataRootFromEnvironment();
  const options: QuantizeOptions = {
    ...{ to, convolutions, calibration, count, seed, threads },
    ...(flags.bits && { bits: flags.bits === "7" ? 7 : 8 }),
    ...(keep && { keep }),
    ...(set !== undefined && { set }),
    ...(dataRoot !== undefined && { dataRoot }),
    signal: interruptSignal(),
    onProgress: (text) => line.update(text),
  };
  const report = await quantize(name, flags.out, options);
  line.end();
  if (json) return printJson({ out: flags.out, ...report });
  show(flags.out, report, flags.layers === true);
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
const percent = (part: number): string => `${(100 * part).toFixed(2)} %`;

function layerLine({ name, shape, error, weightError }: QuantizedLayer): string {
  return `  ${percent(error).padStart(8)}  weights ${percent(weightError).padStart(8)}  ${name} [${shape.join(", ")}]`;
}

function show(out: string, report: QuantizeReport, all: boolean): void {
  const { to, bits, layers, kept, pictures, sourceBytes, sizeBytes } = report;
  const worst = [...layers].sort((a, b) => b.error - a.error);
  print(`${layers.length} layers as ${to}, ${bits} bits; error of their outputs over ${pictures} pictures:`);
  for (const layer of all ? layers : worst.slice(0, 5)) print(layerLine(layer));
  const more = layers.length - 5;
  if (!all && more > 0) print(`  ${more} with less; --layers shows them`);
  const reasons = new Map<string, number>();
  for (const { why } of kept) reasons.set(why, (reasons.get(why) ?? 0) + 1);
  for (const [why, count] of reasons) print(`${count} layers stay: ${why}`);
  print(
    `${out}: ${megabytes(sizeBytes)}, ${(sizeBytes / sourceBytes).toFixed(2)} of ${megabytes(sourceBytes)}`,
  );
  print(`next: nextx sample ${shellWord(out)} --out a.png`);
}

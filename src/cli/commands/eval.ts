/** `nextx eval MODEL`: samples against held-out pictures, with hashes and expected errors; `--floor SET` without a model. */
import type { Command } from "commander";
import { compare } from "../../compare.node.ts";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import type { FeatureReport, PicturesReport } from "../../evaluate/evaluatePictures.ts";
import type { FrechetEstimate } from "../../evaluate/frechet.ts";
import type { Rate } from "../../evaluate/metrics.ts";
import { evaluate, type MeasureOptions, noiseFloor } from "../../evaluate.node.ts";
import { load } from "../../load.node.ts";
import { isModelName } from "../../models.node.ts";
import type { ImageSystem } from "../../regimen/system.ts";
import { evaluateSeries, isSeriesModel, type SeriesReport } from "../../seriesProgramme.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { printComparison } from "../comparison.ts";
import { type Context, firstWord } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { addSchemaFlags, readSchemaFlags } from "../flags.ts";
import { integer } from "../numbers.ts";
import { interruptSignal, ProgressLine, print, printJson } from "../output.ts";
import { subjectOf } from "../subject.ts";

interface Flags extends DeviceFlags, Readonly<Record<string, unknown>> {
  readonly count: number;
  readonly seed: number;
  readonly set?: string;
  readonly split: string;
  readonly data?: string;
  readonly onnx?: string;
  readonly floor?: string;
  readonly against?: string;
}

/** Declares the command. */
export async function define(command: Command, context: Context): Promise<void> {
  const { system, sampling } = await subjectOf(firstWord(context, isModelName));
  addDeviceFlags(command)
    .argument("[model]", "shipped model, system id, run folder or file")
    .option(
      "-n, --count <n>",
      "pictures on each side (forecasters take every window)",
      integer(12, 10_000),
      1000,
    )
    .option("-s, --seed <n>", "seed of the samples", integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option("--set <id>", "data set to compare with (default: the model's own)")
    .option("--split <name>", "test or validation", "test")
    .option("--data <folder>", "folder of data sets and foreign feature networks (default: NEXTX_DATA)")
    .option("--onnx <file>", "one more feature network: input [N, 3, H, W] in [-1, 1], output [N, D]")
    .option("--against <model>", "another form of the model: true tokens and the same noise for both")
    .option("--floor <set>", "no model: held-out pictures against others, what a perfect model would get")
    .option("--json", "machine output");
  addSchemaFlags(command, system.samplingSchema, `Settings of ${system.id}:`, sampling);
  command.action((name: string | undefined, flags: Flags) => run(name, flags, system, context));
}

function measureOptions(flags: Flags, line: ProgressLine): MeasureOptions {
  const { count, split, onnx } = flags;
  if (split !== "test" && split !== "validation")
    throw new NextxError("CLI_BAD_SPLIT", `A held-out split is test or validation, got ${split}.`, {
      path: "split",
    });
  const dataRoot = flags.data ?? dataRootFromEnvironment();
  return {
    ...{ count, split, signal: interruptSignal(), ...deviceOptions(flags) },
    onProgress: (text) => line.update(text),
    ...(dataRoot !== undefined && { dataRoot }),
    ...(onnx !== undefined && { onnx }),
  };
}

async function run(
  name: string | undefined,
  flags: Flags,
  system: ImageSystem,
  { json }: Context,
): Promise<void> {
  const line = new ProgressLine(5000);
  const options = measureOptions(flags, line);
  if (flags.floor !== undefined) {
    if (name !== undefined)
      throw new NextxError("CLI_FLOOR_WITHOUT_MODEL", `--floor measures no model, got ${name}.`, {
        path: "floor",
      });
    const report = await noiseFloor(flags.floor, options);
    line.end();
    if (json) return printJson(report);
    const { set, split, version, size } = report.data;
    print(
      `${report.count} pictures of ${set} (${split}, version ${version}, ${size} px) against as many others`,
    );
    return show(report);
  }
  if (name === undefined)
    throw new NextxError("CLI_NO_MODEL", "Which model?", {
      hint: "nextx eval MODEL; nextx list shows models. Without a model: nextx eval --floor SET.",
    });
  if (await isSeriesModel(name)) {
    const report = await evaluateSeries(name, options as Parameters<typeof evaluateSeries>[1]);
    line.end();
    return json ? printJson(report) : showSeries(report);
  }
  using model = await load(name, deviceOptions(flags));
  const { seed, set } = flags;
  const settings = readSchemaFlags(system.samplingSchema, flags) ?? {};
  if (flags.against !== undefined) {
    using reference = await load(flags.against, deviceOptions(flags));
    const told = { ...options, seed, settings, ...(set !== undefined && { set }) };
    const comparison = await compare(model, reference, told);
    line.end();
    return json ? printJson(comparison) : printComparison(comparison);
  }
  const report = await evaluate(model, { ...options, seed, settings, ...(set !== undefined && { set }) });
  line.end();
  if (json) return printJson(report);
  const { data, count } = report;
  print(`${report.model.name} ${report.model.sha256.slice(0, 12)}: ${count} samples, seed ${seed}`);
  print(`against ${count} pictures of ${data.set} (${data.split}, version ${data.version}, ${data.size} px)`);
  show(report);
}

function showSeries({ system, data, errors }: SeriesReport): void {
  const { set, split, setVersion, windows, contextLength, predictionLength } = data;
  print(`${system} on ${windows} windows of ${set} (${split}, version ${setVersion})`);
  print(`${predictionLength} rows after ${contextLength}, errors on standardised data:`);
  for (const [name, { mse, mae }] of Object.entries(errors))
    print(`  ${name.padEnd(18)} MSE ${figure(mse)}, MAE ${figure(mae)}`);
}

const percent = ({ rate, standardError }: Rate): string =>
  `${(100 * rate).toFixed(1)} ± ${(100 * standardError).toFixed(1)} %`;
const figure = (value: number): string => value.toPrecision(4);

function show({ features, validity, reconstruction }: PicturesReport): void {
  if (validity) print(`rules obeyed by ${percent(validity)} of the samples`);
  if (reconstruction) {
    const { psnr, ssim, validity: kept } = reconstruction;
    const rules = kept ? `, rules obeyed by ${percent(kept)}` : "";
    const decibels = psnr === null ? "no difference" : `${psnr.toFixed(2)} dB`;
    print(`round trip of the held-out pictures: PSNR ${decibels}, SSIM ${ssim.toFixed(4)}${rules}`);
  }
  for (const feature of features) showFeature(feature);
}

function showFrechet(
  title: string,
  { distance, standardError, bias, extrapolated, method }: FrechetEstimate,
) {
  print(`  ${title} ${figure(distance)} ± ${figure(standardError)}, bias ${figure(bias)} at this N,`);
  print(`    ${figure(extrapolated)} for N to infinity (${method})`);
}

function showFeature(report: FeatureReport): void {
  const { name, sha256, dims, inputSize, precisionRecall, score, accuracy, reconstruction } = report;
  print(`\n${name} (${dims} features at ${inputSize} px, sha256 ${sha256.slice(0, 12)})`);
  showFrechet("Fréchet distance", report.frechet);
  if (report.fewSamples)
    print("    fewer than 10 samples per feature: compare only with numbers of the same N");
  const { precision, recall, k } = precisionRecall;
  print(`  precision ${precision.toFixed(3)}, recall ${recall.toFixed(3)} (k = ${k})`);
  if (score)
    print(`  score ${score.generated.mean.toFixed(2)} (held-out pictures ${score.real.mean.toFixed(2)})`);
  if (accuracy)
    print(`  right class ${percent(accuracy.generated)} (held-out pictures ${percent(accuracy.real)})`);
  if (!reconstruction) return;
  showFrechet("round trip: Fréchet distance", reconstruction.frechet);
  print(`    mean feature distance ${figure(reconstruction.featureDistance)}`);
}

/** `nextx eval MODEL`: samples against held-out pictures, with hashes and expected errors. Also trains our classifiers. */
import { cpus } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { imageSets, openImageSet } from "../../data/imageSets.node.ts";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { headlineAccuracy, trainClassifier } from "../../evaluate/classifier/classifier.node.ts";
import { classifierRecipe, classifierRecipes } from "../../evaluate/classifier/recipes.ts";
import type { FeatureReport } from "../../evaluate/evaluatePictures.ts";
import type { Rate } from "../../evaluate/metrics.ts";
import { classifierRoot, type EvaluationReport, evaluate } from "../../evaluate.node.ts";
import { load } from "../../load.node.ts";
import { findModel } from "../../models.node.ts";
import type { ImageSystem } from "../../regimen/system.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { imageSystems } from "../../systems/registry.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type Context, firstWord } from "../context.ts";
import { addSchemaFlags, readSchemaFlags } from "../flags.ts";
import { integer } from "../numbers.ts";
import { duration, interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags extends Readonly<Record<string, unknown>> {
  readonly samples: number;
  readonly seed: number;
  readonly set?: string;
  readonly split: string;
  readonly dataRoot?: string;
  readonly onnx?: string;
  readonly threads: number;
  readonly trainClassifier?: string;
  readonly steps?: number;
  readonly out?: string;
}

async function systemFor(name: string | undefined): Promise<ImageSystem> {
  const [first] = imageSystems.values();
  const found = name === undefined ? undefined : await findModel(name).catch(() => undefined); // reported when it runs
  const system = imageSystems.get(found?.description.system ?? "") ?? first;
  if (system === undefined) throw new NextxError("SYSTEM_UNKNOWN", "No system makes pictures.");
  return system;
}

/** Declares the command. */
export async function define(command: Command, context: Context): Promise<void> {
  const system = await systemFor(firstWord(context));
  command
    .argument("[model]", "shipped model, system id, run folder or file")
    .option("-n, --samples <n>", "pictures on each side", integer(12, 10_000), 1000)
    .option("-s, --seed <n>", "seed of the samples", integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option("--set <id>", "data set to compare with (default: the model's own)")
    .option("--split <name>", "test or validation", "test")
    .option("--data-root <folder>", "folder of data sets and foreign weights (default: NEXTX_DATA)")
    .option("--onnx <file>", "one more feature network: input [N, 3, H, W] in [-1, 1], output [N, D]")
    .option("--threads <n>", "threads", integer(1, 256), 2)
    .option("--json", "machine output");
  command
    .optionsGroup("Our own classifiers, trained once and frozen:")
    .option("--train-classifier <set>", `train one: ${Object.keys(classifierRecipes).join(", ")}`)
    .option("--steps <n>", "training steps (default: the recipe's)", integer(1, 1_000_000))
    .option("-o, --out <folder>", "its folder (default: models/classifiers/<set>-<size>)");
  addSchemaFlags(command, system.samplingSchema, `Settings of ${system.id}:`);
  command.action((name: string | undefined, flags: Flags) => run(name, flags, system, context));
}

async function run(
  name: string | undefined,
  flags: Flags,
  system: ImageSystem,
  context: Context,
): Promise<void> {
  if (flags.trainClassifier !== undefined) return trainOne(flags.trainClassifier, flags, context);
  if (name === undefined)
    throw new NextxError("CLI_NO_MODEL", "Which model?", {
      hint: "nextx eval MODEL; nextx list shows models.",
    });
  const { samples, seed, split, set, onnx, threads } = flags;
  if (split !== "test" && split !== "validation")
    throw new NextxError("CLI_BAD_SPLIT", `A held-out split is test or validation, got ${split}.`, {
      path: "split",
    });
  const dataRoot = flags.dataRoot ?? dataRootFromEnvironment();
  const line = new ProgressLine(5000);
  using model = await load(name, { threads });
  const report = await evaluate(model, {
    ...{ samples, seed, split, threads, signal: interruptSignal() },
    settings: readSchemaFlags(system.samplingSchema, flags) ?? {},
    onProgress: (text) => line.update(text),
    ...(set !== undefined && { set }),
    ...(dataRoot !== undefined && { dataRoot }),
    ...(onnx !== undefined && { onnx }),
  });
  line.end();
  if (context.json) printJson(report);
  else show(report);
}

const percent = ({ rate, standardError }: Rate): string =>
  `${(100 * rate).toFixed(1)} ± ${(100 * standardError).toFixed(1)} %`;

function show(report: EvaluationReport): void {
  const { model, data, count, seed, features, validity } = report;
  print(`${model.name} ${model.sha256.slice(0, 12)}: ${count} samples, seed ${seed}`);
  print(`against ${count} pictures of ${data.set} (${data.split}, version ${data.version})`);
  for (const feature of features) showFeature(feature);
  if (validity) print(`rules obeyed by ${percent(validity)} of the samples`);
}

function showFeature({
  name,
  sha256,
  dims,
  frechet,
  precisionRecall,
  score,
  accuracy,
  fewSamples,
}: FeatureReport): void {
  const { distance, standardError, bias, extrapolated, method } = frechet;
  const figure = (value: number) => value.toPrecision(4);
  print(`\n${name} (${dims} features, sha256 ${sha256.slice(0, 12)})`);
  print(`  Fréchet distance ${figure(distance)} ± ${figure(standardError)}, bias ${figure(bias)} at this N,`);
  print(`    ${figure(extrapolated)} for N to infinity (${method})`);
  if (fewSamples) print("    fewer than 10 samples per feature: compare only with numbers of the same N");
  print(
    `  precision ${precisionRecall.precision.toFixed(3)}, recall ${precisionRecall.recall.toFixed(3)} (k = ${precisionRecall.k})`,
  );
  if (score)
    print(`  score ${score.generated.mean.toFixed(2)} (held-out pictures ${score.real.mean.toFixed(2)})`);
  if (accuracy)
    print(`  right class ${percent(accuracy.generated)} (held-out pictures ${percent(accuracy.real)})`);
}

async function trainOne(id: string, flags: Flags, { json, version }: Context): Promise<void> {
  const base = classifierRecipe(id);
  const recipe = flags.steps === undefined ? base : { ...base, steps: flags.steps };
  const dataRoot = flags.dataRoot ?? dataRootFromEnvironment();
  const open = (split: "train" | "test") =>
    openImageSet(id, { size: recipe.size, split, ...(dataRoot !== undefined && { dataRoot }) });
  const line = new ProgressLine();
  const start = performance.now();
  const device = await openCpu({ threads: flags.threads });
  const card = await trainClassifier({
    recipe,
    train: await open("train"),
    heldOut: await open("test"),
    folder: flags.out ?? join(classifierRoot(), `${id}-${recipe.size}`),
    device,
    licence: imageSets[id as keyof typeof imageSets].licence, // a set with a recipe
    provenance: {
      command: `nextx eval --train-classifier ${id}${flags.steps === undefined ? "" : ` --steps ${flags.steps}`}`,
      ...{ version, runtime: device.runtime, node: process.version, threads: flags.threads },
      machine: cpus()[0]?.model ?? "unknown",
    },
    onStep: ({ step, loss, metrics }, steps) => {
      const left = ((performance.now() - start) / step) * (steps - step);
      line.update(
        `step ${step} of ${steps}, loss ${loss.toFixed(3)}, class ${metrics.class}, ${duration(left)} left`,
      );
    },
    signal: interruptSignal(),
  });
  line.end();
  if (json) return printJson(card);
  const reached = headlineAccuracy(card.accuracy);
  for (const [head, rate] of Object.entries(card.accuracy)) print(`  ${head}: ${(100 * rate).toFixed(2)} %`);
  print(
    `held-out ${(100 * reached).toFixed(2)} %, target ${100 * recipe.target} %: ${reached >= recipe.target ? "reached" : "missed"}`,
  );
}

/**
 * A classifier's life: trained once on a training split, written as float16 with a card, opened as an extractor. A file
 * that is not the one its card describes is refused, so numbers always name the network that made them.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ImageSet } from "../../data/types.ts";
import { sha256Hex, writeFileDurably } from "../../formats/durable.node.ts";
import { decodeModel, encodeModel } from "../../formats/modelFile.ts";
import { validate } from "../../formats/validate.ts";
import { type ConvClassifierConfig, convClassifier } from "../../nn/convClassifier.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { type StepReport, Trainer } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { NextxError } from "../../tensor/errors.ts";
import { mul, sub } from "../../tensor/ops/elementwise.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { openNetwork } from "../features/network.ts";
import type { FeatureExtractor } from "../features/types.ts";
import { type FrozenClassifiers, frozenClassifiers } from "./frozen.ts";
import { type ClassifierRecipe, classifierConfig, questionsOf } from "./recipes.ts";
import { accuracyGraph, ClassifierTask, heldOutBatches } from "./task.ts";

const fileName = "classifier.safetensors";

const configSchema = z.strictObject({
  imageSize: z.int().min(16).max(512).multipleOf(16),
  widths: z.tuple([z.int().min(1), z.int().min(1), z.int().min(1)]),
  numResBlocks: z.int().min(1).max(16),
  numGroups: z.int().min(1),
  dims: z.int().min(1).max(8192),
  heads: z.array(z.strictObject({ name: z.string().min(1), classes: z.int().min(1) })).min(1),
});

const cardSchema = z.looseObject({
  sha256: z.string(),
  data: z.looseObject({ set: z.string(), size: z.int(), version: z.string() }),
  accuracy: z.record(z.string(), z.number()),
});
export type ClassifierCard = z.infer<typeof cardSchema>;

export interface TrainClassifierRequest {
  readonly recipe: ClassifierRecipe;
  readonly train: ImageSet;
  /** Never trained on, never looked at before the end. */
  readonly heldOut: ImageSet;
  readonly folder: string;
  readonly device: Device;
  readonly licence: string;
  /** Written into the card: versions, machine, command. */
  readonly provenance: Readonly<Record<string, unknown>>;
  readonly onStep?: (report: StepReport, steps: number) => void;
  readonly signal?: AbortSignal;
}

/** Share of right answers per head on the first `limit` pictures of a split. */
export async function classifierAccuracy(
  config: ConvClassifierConfig,
  weights: Weights,
  set: ImageSet,
  device: Device,
  limit = 10_000,
): Promise<{ readonly accuracy: Readonly<Record<string, number>>; readonly count: number }> {
  using program = await compile(accuracyGraph(config), { device, weights });
  const hits: Record<string, number> = {};
  let count = 0;
  for (const batch of heldOutBatches(set, limit)) {
    const n = batch.answers.shape[0] ?? 0;
    count += n;
    for (const [name, { data }] of Object.entries(await program.run(batch)))
      hits[name] = (hits[name] ?? 0) + (data[0] as number) * n; // a scalar
  }
  return {
    accuracy: Object.fromEntries(Object.entries(hits).map(([name, total]) => [name, total / count])),
    count,
  };
}

/** Mean over heads besides the class where there are factors, else the class. */
export function headlineAccuracy(accuracy: Readonly<Record<string, number>>): number {
  const { class: ofClass = Number.NaN, ...factors } = accuracy;
  const values = Object.values(factors);
  return values.length === 0 ? ofClass : values.reduce((a, b) => a + b, 0) / values.length;
}

async function trainedWeights(
  request: TrainClassifierRequest,
  config: ConvClassifierConfig,
): Promise<Weights> {
  const { recipe, device, signal, onStep } = request;
  const { steps, learningRate, weightDecay, emaDecay, seed } = recipe;
  const task = new ClassifierTask(config, request.train, recipe);
  using trainer = await Trainer.create(
    task,
    {
      schedule: {
        name: "cosine",
        peak: learningRate,
        steps,
        warmup: Math.min(100, Math.floor(steps / 10)),
        end: 0.01,
      },
      optimizer: { ...defaultAdamW, beta2: 0.99, weightDecay },
      accumulate: 1,
      emaDecay,
    },
    device,
    RandomStream.from(seed, "classifier/init"),
  );
  while (trainer.step < steps) {
    if (signal?.aborted) throw new NextxError("ABORTED", "Training was stopped; nothing was written.");
    const report = await trainer.advance(); // outside the call, which would skip it without a listener
    onStep?.(report, steps);
  }
  return trainer.best;
}

/**
 * Trains, measures the float16 file on held-out pictures, and writes it with its card into a folder of its own.
 * @throws NextxError CLASSIFIER_EXISTS, TRAIN_NOT_FINITE, ABORTED, FILE_ codes
 */
export async function trainClassifier(request: TrainClassifierRequest): Promise<ClassifierCard> {
  const { recipe, train, heldOut, folder, device, licence, provenance } = request;
  const path = join(folder, fileName);
  if (existsSync(path))
    throw new NextxError("CLASSIFIER_EXISTS", `${path} exists; a frozen classifier is never replaced.`, {
      path,
      hint: "Name another folder.",
    });
  const config = classifierConfig(train.size, questionsOf(train).heads);
  const start = performance.now();
  const weights = await trainedWeights(request, config);
  const minutes = (performance.now() - start) / 60_000;
  const description = { system: "classifier", config, classNames: train.classNames, imageSize: train.size };
  const bytes = encodeModel({ description, weights }, "F16");
  const { accuracy, count } = await classifierAccuracy(config, decodeModel(bytes).weights, heldOut, device);
  const card = {
    title: `Classifier of ${train.id}, ${train.size} px`,
    licence,
    sha256: sha256Hex(bytes),
    data: {
      set: train.id,
      size: train.size,
      version: train.version,
      trained: "train",
      heldOut: heldOut.split,
      count,
    },
    accuracy,
    headline: headlineAccuracy(accuracy),
    target: recipe.target,
    recipe,
    provenance: { ...provenance, minutes: Math.round(minutes * 10) / 10 },
  };
  await mkdir(folder, { recursive: true });
  await writeFileDurably(path, bytes);
  await writeFileDurably(join(folder, "card.json"), `${JSON.stringify(card, null, 1)}\n`);
  return card;
}

/** The card of a classifier's folder. @throws NextxError CLASSIFIER_BAD_CARD */
export async function readClassifierCard(folder: string): Promise<ClassifierCard> {
  const path = join(folder, "card.json");
  try {
    return validate(cardSchema, JSON.parse(await readFile(path, "utf8")), "card");
  } catch (cause) {
    throw new NextxError("CLASSIFIER_BAD_CARD", `${path} is not the card of a classifier.`, { path, cause });
  }
}

/**
 * Opens a classifier's folder as an extractor: features are the last hidden layer, logits those of the class.
 * @throws NextxError CLASSIFIER_BAD_CARD, CLASSIFIER_DAMAGED, MODEL_ and SAFETENSORS_ codes
 */
export async function openClassifier(folder: string, device: Device): Promise<FeatureExtractor> {
  const card = await readClassifierCard(folder);
  const path = join(folder, fileName);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new NextxError("CLASSIFIER_DAMAGED", `${path} cannot be read.`, { path, cause });
  });
  const sha256 = sha256Hex(bytes);
  if (sha256 !== card.sha256)
    throw new NextxError("CLASSIFIER_DAMAGED", `${path} is not the file that its card describes.`, {
      path,
      hint: "Restore the file with git.",
    });
  const { description, weights } = decodeModel(bytes, path);
  const config = validate(configSchema, description.config, "config");
  return openNetwork(
    {
      name: `classifier ${card.data.set}`,
      sha256,
      inputSize: config.imageSize,
      weights,
      classNames: description.classNames,
      describe: (pictures) => {
        const { features, logits } = convClassifier(Scope.root(), sub(mul(pictures, 1 / 127.5), 1), config);
        return { features, logits: logits[0] as Tensor }; // the class comes first
      },
    },
    device,
  );
}

/**
 * Opens the frozen classifier of a data set from the folder that holds them; undefined for sets that have none. Its hash
 * is the one in the source, so neither file nor card can be exchanged unseen.
 * @throws NextxError CLASSIFIER_NOT_FROZEN and the codes of openClassifier
 */
export async function openFrozenClassifier(
  root: string,
  set: string,
  device: Device,
  frozen: FrozenClassifiers = frozenClassifiers,
): Promise<FeatureExtractor | undefined> {
  const entry = Object.hasOwn(frozen, set) ? frozen[set] : undefined;
  if (entry === undefined) return undefined;
  const folder = join(root, entry.folder);
  const card = await readClassifierCard(folder);
  if (card.sha256 !== entry.sha256 || card.data.set !== set)
    throw new NextxError("CLASSIFIER_NOT_FROZEN", `${folder} is not the frozen classifier of ${set}.`, {
      path: folder,
      hint: "Restore the folder with git, or install nextx again.",
    });
  return openClassifier(folder, device);
}

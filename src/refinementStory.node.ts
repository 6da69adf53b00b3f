/**
 * SAR's story with shipped models: the base is refined for a while where everybody can watch, then base, control and refined
 * model are drawn and measured now, on the same noise and with the same settings. Refining for a minute shows how it goes;
 * it does not reach the shipped model.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openImageSet } from "./data/imageSets.node.ts";
import { inOrder } from "./data/loader.ts";
import { readWeightFile } from "./data/weightFiles.node.ts";
import { drawnSet } from "./dynamics.node.ts";
import { parseResult } from "./evaluate/claim/result.ts";
import { quantities } from "./evaluate/claim/target.ts";
import { type EvaluationReport, evaluate } from "./evaluate.node.ts";
import { load } from "./load.node.ts";
import type { Model } from "./model.ts";
import type { FoundModel } from "./modelCard.ts";
import { findModel, packageRoot, shippedModels } from "./models.node.ts";
import { type ProbeLook, RefinementProbe } from "./refinementProbe.ts";
import type { StageContext } from "./regimen/system.ts";
import { tokenise } from "./regimen/tokenSet.ts";
import { trainStage } from "./regimen/trainStage.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import type { SampleRecipe } from "./sampleRecipe.ts";
import { type StoryRole, storyModels } from "./storyModels.ts";
import { transformerPrefix } from "./systems/sar/sarModel.ts";
import { sarSystem } from "./systems/sar/system.ts";
import { NextxError } from "./tensor/errors.ts";

/** How every model of the story samples: cards suit their models and differ, without guidance there is nothing to choose. */
export const storySettings = { cfgScale: 0 } as const;

/** A look at held-out pictures, always the same, at the model's own schedule. */
export interface HeldOutEvent extends ProbeLook {
  readonly kind: "held-out";
  /** Finished steps; 0 is the base. */
  readonly step: number;
  readonly elapsedMs: number;
  readonly pictures: number;
}

/** The refined model against its control. */
export interface ComparedEvent {
  readonly kind: "compared";
  /** Feature network of the distances. */
  readonly network: string;
  /** Relative change of the Fréchet distance, as measured now. */
  readonly change: number;
  /** What chance does to it, from the standard errors of both distances as if their noise were not the same. */
  readonly standardError: number;
  /** The change that the claim measured with the same settings, mean of its seeds; absent where it says nothing of the network. */
  readonly recorded?: number;
}

export type StoryEvent =
  | { readonly kind: "preparing"; readonly text: string }
  | {
      /** One training step; its numbers belong to the schedule that it drew: look at `held-out` for what changes. */
      readonly kind: "step";
      readonly step: number;
      readonly elapsedMs: number;
      /** Cross-entropy on the true past, nats per token. */
      readonly teacherLoss: number;
      /** Cross-entropy of the second pass, on the model's own past, against the first pass's picks. */
      readonly studentLoss: number;
      /** Share of tokens on which both passes agree. */
      readonly agreement: number;
    }
  | HeldOutEvent
  | {
      /** Pictures of some classes, the same noise for every role. */
      readonly kind: "pictures";
      readonly role: StoryRole;
      readonly recipe: SampleRecipe;
      readonly classes: readonly string[];
      /** Side in pixels. */
      readonly size: number;
      /** One picture after the other, size * size * 3 bytes each. */
      readonly pixels: Uint8Array;
    }
  | { readonly kind: "measured"; readonly role: StoryRole; readonly report: EvaluationReport }
  | ComparedEvent;

export interface StoryOptions extends DeviceOptions {
  /** How long the base is refined; 60 seconds when absent, 0 skips it. */
  readonly refineMs?: number;
  /** Of refining; that of the recipe when absent. */
  readonly learningRate?: number;
  /** Pictures on each side of every measurement; 2,000 when absent. */
  readonly samples?: number;
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** Whether all models of the story ship with this copy. */
export function canTellStory(): boolean {
  const names = new Set(shippedModels().map(({ name }) => name));
  return Object.values(storyModels).every((name) => names.has(name));
}

/** @throws NextxError MODEL_ codes, ABORTED */
export async function* refinementStory(options: StoryOptions = {}): AsyncGenerator<StoryEvent> {
  const { refineMs = 60_000, samples = 2000, seed = 0 } = options;
  if (refineMs > 0) yield* refineBase(options);
  const reports = new Map<StoryRole, EvaluationReport>();
  for (const [role, name] of Object.entries(storyModels) as [StoryRole, string][]) {
    yield { kind: "preparing", text: `measuring ${name} on ${samples} samples` };
    using model: Model = await load(name, options);
    yield await picturesOf(model, role, seed, options.signal);
    const report = await evaluate(model, { ...options, count: samples, seed, settings: storySettings });
    reports.set(role, report);
    yield { kind: "measured", role, report };
  }
  const compared = comparisonOf(reports);
  if (compared) yield compared;
}

/** Classes that are drawn, spread over all. */
const drawnClasses = 8;

async function picturesOf(
  model: Model,
  role: StoryRole,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<StoryEvent> {
  const { classNames, imageSize } = model;
  const count = Math.min(drawnClasses, classNames.length);
  const labels = Array.from({ length: count }, (_, i) => Math.floor((i * classNames.length) / count));
  const request = { ...storySettings, class: labels, seed, ...(signal && { signal }) };
  let pixels = new Uint8Array(0);
  for await (const event of model.sample(request)) pixels = Uint8Array.from(event.pixels);
  const classes = labels.map((label) => classNames[label] ?? "");
  return { kind: "pictures", role, recipe: model.recipe(request), classes, size: imageSize, pixels };
}

/** The refined model against its control under the first feature network. */
function comparisonOf(reports: ReadonlyMap<StoryRole, EvaluationReport>): ComparedEvent | undefined {
  const [refined, control] = [reports.get("refined"), reports.get("control")];
  const [own, other] = [refined?.features[0], control?.features[0]];
  if (refined === undefined || own === undefined || other === undefined) return undefined;
  const [a, b] = [own.frechet, other.frechet];
  const recorded = recordedChange(refined.data.set, own.name);
  return {
    ...{ kind: "compared", network: own.name, change: a.distance / b.distance - 1 },
    standardError: Math.hypot(a.standardError, b.standardError) / b.distance,
    ...(recorded !== undefined && { recorded }),
  };
}

/** What SAR's claim measured without guidance on a set under a feature network: mean over its seeds of the change. */
export function recordedChange(set: string, network: string): number | undefined {
  const path = join(packageRoot(), "results", "sar.json");
  if (!existsSync(path)) return undefined;
  const { measures } = parseResult(readFileSync(path, "utf8"), path);
  const measure = measures.find(
    ({ name }) => name === `Fréchet distance without guidance, ${set}, ${network}`,
  );
  if (measure === undefined) return undefined;
  return quantities({ quantity: "relativeChange", over: "mean" }, measure.system, measure.baseline)[0];
}

/**
 * Pictures tokenised for the taste, and steps that a long run would take (the learning rate is planned by them); held-out
 * pictures, and steps between looks at them.
 */
const taste = {
  refine: { batchSize: 32, tokenImages: 2048, steps: 600, warmup: 10, sigma: 0.05 },
  pictures: 64,
  lookEvery: 4,
};

/** The recipe of the base's card, with the taste as its last stage. @throws NextxError MODEL_DAMAGED */
function tasteRecipe({ name, card, description }: FoundModel, { seed = 0, learningRate }: StoryOptions) {
  const told = card?.recipe as { data: { set: string }; schedules: unknown } | undefined; // our own card
  if (told === undefined) throw new NextxError("MODEL_DAMAGED", `The card of ${name} has no recipe.`);
  const recipe = sarSystem.recipeSchema.parse({
    ...{ seed, data: told.data, schedules: told.schedules },
    ...sarSystem.recipeOf(description),
    train: { refine: { ...taste.refine, ...(learningRate !== undefined && { learningRate }) } },
  });
  return { recipe, set: told.data.set };
}

/** Held-out pictures as a probe of what one step on its own past does to the base. */
async function probeOf(base: FoundModel, { data, device, seed, signal }: StageContext) {
  const subject = sarSystem.scaleWise?.(base.description, base.weights);
  if (subject === undefined) throw new NextxError("MODEL_NOT_SCALE_WISE", `${base.name} has no scales.`);
  const drawn = drawnSet(await data("validation"), taste.pictures);
  const loader = inOrder(drawn);
  const tokens = await tokenise({
    ...subject.tokenizer,
    ...{ loader, count: drawn.length, device, ...(signal && { signal }) },
  });
  const frozen = new Map([...base.weights].filter(([name]) => !name.startsWith(transformerPrefix)));
  return RefinementProbe.create(subject, tokens, { device, seed, frozen });
}

/**
 * Refines the base for `refineMs`, one step at least, looking at held-out pictures before, between and after.
 * @throws NextxError MODEL_ codes, ABORTED
 */
export async function* refineBase(options: StoryOptions = {}): AsyncGenerator<StoryEvent> {
  const { refineMs = 60_000, learningRate: _, samples: __, seed = 0, signal, ...device } = options;
  yield { kind: "preparing", text: `looking at ${taste.pictures} held-out pictures` };
  const base = await findModel(storyModels.base);
  const { recipe, set } = tasteRecipe(base, options);
  const context: StageContext = {
    ...{ seed, device: await openDevice(device), earlier: base.weights },
    data: (split) => openImageSet(set, { size: base.description.imageSize, split }),
    readWeights: (path) => readWeightFile(undefined, path),
    onProgress: () => undefined,
    ...(signal && { signal }),
  };
  const stage = sarSystem.stages(recipe).at(-1);
  if (stage === undefined) return;
  using probe = await probeOf(base, context);
  const { pictures } = probe;
  const trained = new Map([...base.weights].filter(([name]) => name.startsWith(transformerPrefix)));
  yield { ...{ kind: "held-out", step: 0, elapsedMs: 0, pictures }, ...(await probe.look(trained)) };
  yield { kind: "preparing", text: `tokenising ${taste.refine.tokenImages} pictures` };
  let startMs: number | undefined;
  for await (const { report, best, steps } of trainStage(stage, context)) {
    startMs ??= performance.now(); // tokenising and compiling are no refining
    const { step } = report;
    const elapsedMs = performance.now() - startMs;
    const { teacherLoss, studentLoss, agreement } = report.metrics;
    yield {
      ...{ kind: "step", step, elapsedMs },
      ...{ teacherLoss: Number(teacherLoss), studentLoss: Number(studentLoss), agreement: Number(agreement) },
    };
    const isOver = elapsedMs >= refineMs || step === steps;
    if (isOver || step % taste.lookEvery === 0)
      yield { ...{ kind: "held-out", step, elapsedMs, pictures }, ...(await probe.look(best)) };
    if (isOver) return;
  }
}

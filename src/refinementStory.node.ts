/**
 * SAR's story with shipped models: the base is refined for a while where everybody can watch, then base, control and refined
 * model are measured now, on the same noise. Refining for a minute shows how it goes; it does not reach the shipped model.
 */
import { openImageSet } from "./data/imageSets.node.ts";
import { readWeightFile } from "./data/weightFiles.node.ts";
import { type EvaluationReport, evaluate } from "./evaluate.node.ts";
import { load } from "./load.node.ts";
import type { Model } from "./model.ts";
import { findModel, shippedModels } from "./models.node.ts";
import type { StageContext } from "./regimen/system.ts";
import { trainStage } from "./regimen/trainStage.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { type StoryRole, storyModels } from "./storyModels.ts";
import { sarSystem } from "./systems/sar/system.ts";
import { NextxError } from "./tensor/errors.ts";

export type StoryEvent =
  | { readonly kind: "preparing"; readonly text: string }
  | {
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
  | { readonly kind: "measured"; readonly role: StoryRole; readonly report: EvaluationReport };

export interface StoryOptions extends DeviceOptions {
  /** How long the base is refined; 60 seconds when absent, 0 skips it. */
  readonly refineMs?: number;
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
  if (refineMs > 0) yield* refine(refineMs, seed, options);
  for (const [role, name] of Object.entries(storyModels) as [StoryRole, string][]) {
    yield { kind: "preparing", text: `measuring ${name} on ${samples} samples` };
    using model: Model = await load(name, options);
    const report = await evaluate(model, { ...options, count: samples, seed });
    yield { kind: "measured", role, report };
  }
}

/** Pictures tokenised for the taste, and steps that a long run would take (the learning rate is planned by them). */
const taste = { batchSize: 32, tokenImages: 2048, steps: 600, warmup: 10, sigma: 0.05 };

async function* refine(
  refineMs: number,
  seed: number,
  { signal, ...options }: StoryOptions,
): AsyncGenerator<StoryEvent> {
  yield { kind: "preparing", text: `tokenising ${taste.tokenImages} pictures` };
  const base = await findModel(storyModels.base);
  const told = base.card?.recipe as { data: { set: string }; schedules: unknown } | undefined; // our own card
  if (told === undefined) throw new NextxError("MODEL_DAMAGED", `The card of ${base.name} has no recipe.`);
  const { imageSize } = base.description;
  const recipe = sarSystem.recipeSchema.parse({
    ...{ seed, data: told.data, schedules: told.schedules },
    ...sarSystem.recipeOf(base.description),
    train: { refine: taste },
  });
  const context: StageContext = {
    ...{ seed, device: await openDevice(options), earlier: base.weights },
    data: (split) => openImageSet(told.data.set, { size: imageSize, split }),
    readWeights: (path) => readWeightFile(undefined, path),
    onProgress: () => undefined,
    ...(signal && { signal }),
  };
  const stage = sarSystem.stages(recipe).at(-1);
  if (stage === undefined) return;
  let startMs: number | undefined;
  for await (const { report } of trainStage(stage, context)) {
    startMs ??= performance.now(); // tokenising and compiling are no refining
    const elapsedMs = performance.now() - startMs;
    const { teacherLoss, studentLoss, agreement } = report.metrics;
    yield {
      ...{ kind: "step", step: report.step, elapsedMs },
      ...{ teacherLoss: Number(teacherLoss), studentLoss: Number(studentLoss), agreement: Number(agreement) },
    };
    if (elapsedMs >= refineMs) return;
  }
}

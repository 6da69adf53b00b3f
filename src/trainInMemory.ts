/**
 * Training one stage of a system without a disk, on procedural pictures: what pages do. Whoever pulls the events decides
 * when the next step is taken, so stopping is not pulling, and going on changes nothing.
 */
import { createSynth } from "./data/synth/synth.ts";
import type { Split } from "./data/types.ts";
import { encodeModel, type ModelFile } from "./formats/modelFile.ts";
import { systemOf } from "./model.ts";
import { parameterCount, type Weights } from "./nn/scope.ts";
import type { Observation } from "./regimen/system.ts";
import type { StepReport } from "./regimen/trainer.ts";
import { trainStage } from "./regimen/trainStage.ts";
import { merge, type Overrides, resolveRecipe } from "./resolveRecipe.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

/** One stage to train without a folder. */
export interface MemoryTraining {
  /** Weights that are there before the stage, with their configuration. */
  readonly from: ModelFile;
  /**
   * Names of weights that are taken over; others are drawn anew, and `overrides` may change their configuration. When
   * absent all are, and the configuration stays.
   */
  readonly keeps?: (name: string) => boolean;
  /** Name of the stage among those of the system's recipe. */
  readonly stage: string;
  /** A recipe of the system; its default one when absent. */
  readonly recipe?: string;
  readonly overrides?: Overrides;
  /** Steps between looks at held-out pictures; there is also one after the first and the last step. */
  readonly observeEvery: number;
  readonly device: Device;
  /** Preparation that takes long, such as tokenising, tells how far it is. */
  readonly onProgress?: (text: string, done: number, total: number) => void;
  /** Looked at between steps and during preparation. */
  readonly signal?: AbortSignal;
}

/** What such a training tells while it runs. */
export type MemoryTrainEvent =
  | {
      readonly kind: "stage";
      readonly steps: number;
      readonly parameters: number;
      readonly batchSize: number;
    }
  | { readonly kind: "step"; readonly report: StepReport }
  | { readonly kind: "observed"; readonly step: number; readonly observation: Observation }
  /** The trained model as a float16 file. */
  | { readonly kind: "finished"; readonly model: Uint8Array };

/**
 * Trains a stage; ends after `finished`.
 * @throws NextxError TRAIN_NO_STAGE, TRAIN_NEEDS_FILES, TRAIN_NOT_FINITE, ABORTED, and the codes of recipes
 */
export async function* trainInMemory(options: MemoryTraining): AsyncGenerator<MemoryTrainEvent> {
  const { from, device, keeps, overrides = {}, signal, observeEvery } = options;
  const system = systemOf(from.description.system);
  const [fixed, usual] = [system.recipeOf(from.description), system.usualRecipe?.(from.description)];
  const chosen = merge(usual ?? {}, overrides);
  const changed = keeps ? merge(fixed, chosen) : merge(chosen, fixed);
  const recipe = resolveRecipe(system, options.recipe, changed as Overrides); // of two trees
  const { set, size } = system.data(recipe);
  if (set !== "synth") {
    throw new NextxError("TRAIN_NEEDS_FILES", `${set} is read from files, which are not here.`, {
      path: "data.set",
      hint: "Train on synth, or with `nextx train` on your machine.",
    });
  }
  const stage = system.stages(recipe).find(({ name }) => name === options.stage);
  if (stage === undefined) {
    const names = system.stages(recipe).map(({ name }) => name);
    throw new NextxError("TRAIN_NO_STAGE", `${system.id} has no stage "${options.stage}".`, {
      path: "stage",
      hint: `Stages: ${names.join(", ")}.`,
    });
  }
  const data = async (split: Split) => createSynth({ size: size === 64 ? 64 : 32, split });
  const training = trainStage(stage, {
    device,
    seed: (recipe as { seed: number }).seed, // every recipe has one
    data,
    earlier: new Map([...from.weights].filter(([name]) => keeps?.(name) ?? true)) as Weights,
    readWeights: async (path) => {
      throw new NextxError("TRAIN_NEEDS_FILES", `${path} is a file, which is not here.`, { path });
    },
    onProgress: options.onProgress ?? (() => undefined),
    ...(signal && { signal }),
  });
  try {
    for (;;) {
      const next = await training.next();
      if (next.done) {
        const description = system.describe(recipe, await data("train"));
        yield { kind: "finished", model: encodeModel({ description, weights: new Map(next.value) }, "F16") };
        return;
      }
      const { report, run, best, steps } = next.value;
      const { step } = report;
      if (step === 1) {
        const parameters = parameterCount(run.task.parameters);
        yield { kind: "stage", steps, parameters, batchSize: run.batchSize };
      }
      yield { kind: "step", report };
      if (step === 1 || step % observeEvery === 0 || step === steps)
        yield { kind: "observed", step, observation: await run.observe(best) };
    }
  } finally {
    await training.return(new Map()); // whoever stops pulling lets its programs go
  }
}

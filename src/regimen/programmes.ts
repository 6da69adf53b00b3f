/** What a training step of a scale-wise model may compute: one pass on a chosen past, or self-autoregressive refinement. */
import type { OwnPredictions, PastSource } from "../context/types.ts";
import type { Scope, Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { ints } from "../runtime/values.ts";
import { forcedTraining } from "./forcedTraining.ts";
import { Rollout, type RolloutOptions } from "./rollout.ts";
import type { ScaleWiseModel } from "./scaleWise.ts";
import type { Programme, ProgrammeBatch } from "./scaleWiseTask.ts";
import {
  type RefinementOptions,
  refinementTraining,
  refinementValues,
  rolledScales,
} from "./selfRefinement.ts";

/** A model, where its parameters are, and the frozen weights its graphs use. */
export interface Trainee {
  readonly model: ScaleWiseModel;
  readonly scope: Scope;
  readonly frozen: Weights;
}

/** A rollout that is compiled when a device is known. */
function lazyRollout({ model, frozen }: Trainee, options: RolloutOptions) {
  let made: Rollout | undefined;
  return {
    on: (device: Device): Rollout => {
      made ??= new Rollout(model, options, frozen, device);
      return made;
    },
    dispose: () => made?.[Symbol.dispose](),
  };
}

const argmax: RolloutOptions = { sampling: false, sfCfg: 1, topK: 0, topP: 0 };

/** One pass per step; the past comes from `source`, the labels are true. */
export function forcedProgramme(
  trainee: Trainee,
  source: PastSource,
  options: { readonly rollout?: RolloutOptions; readonly labelSmoothing?: number } = {},
): Programme {
  const { model, scope, frozen } = trainee;
  const rollout = lazyRollout(trainee, options.rollout ?? argmax);
  return {
    graph: forcedTraining(scope, model, options.labelSmoothing),
    frozen,
    keeps: ["keep"],
    values: async ({ labels, ids, plan, stream, step, weights, device }: ProgrammeBatch) => {
      const request = { weights, labels, truth: ids, plan };
      const own: OwnPredictions = {
        oneStep: () => rollout.on(device).oneStep(request, stream),
        freeRunning: (forced) => rollout.on(device).freeRunning(request, stream, forced),
      };
      const past = await source.past({ truth: ids, plan, vocabSize: model.vocabSize, step, stream, own });
      const shape = [labels.length, plan.length];
      return {
        labels: ints(labels, [labels.length]),
        ids: ints(ids, shape),
        past: ints(past, shape),
        ...model.whole.values(plan),
      };
    },
    dispose: rollout.dispose,
  };
}

/**
 * Two passes per step. Likeliest codes are found inside the one program; drawn ones need a pass before it, whose picks the
 * host draws: two programs per step.
 */
export function refinementProgramme(
  trainee: Trainee,
  options: RefinementOptions & { readonly sharedDrop: boolean },
  drawing: Omit<RolloutOptions, "sampling"> = argmax,
): Programme {
  const { model, scope, frozen } = trainee;
  const rollout = lazyRollout(trainee, { ...drawing, sampling: options.sampling });
  return {
    graph: refinementTraining(scope, model, options),
    frozen,
    keeps: ["keep", "studentKeep"],
    values: async ({ labels, dropAgain, ids, plan, stream, weights, device }: ProgrammeBatch) => {
      const rolled = rolledScales(plan, options.rollout, () => stream.uniform());
      const request = { weights, labels, truth: ids, plan };
      const picks = options.sampling ? await rollout.on(device).oneStep(request, stream) : undefined;
      const shape = [labels.length, plan.length];
      return {
        labels: ints(labels, [labels.length]),
        studentLabels: ints(options.sharedDrop ? labels : dropAgain(), [labels.length]),
        ids: ints(ids, shape),
        ...(picks && { picks: ints(picks, shape) }),
        ...refinementValues(model, options, plan, rolled),
      };
    },
    dispose: rollout.dispose,
  };
}

/** Arms that count the work of a step, and arms that train. */
import { encodeModel, type ModelFile } from "../../../formats/modelFile.ts";
import type { Weights } from "../../../nn/scope.ts";
import type { StageContext } from "../../../regimen/system.ts";
import { trainStage } from "../../../regimen/trainStage.ts";
import { counting, runMultiplyAdds } from "../../../runtime/cost.ts";
import type { Value } from "../../../runtime/values.ts";
import type { Arm } from "../arms.node.ts";
import { numberOf } from "../claim.ts";
import { followed, listed } from "../followed.ts";
import {
  armNames,
  claimedMethod,
  definitionOf,
  type RefinementBench,
  type RefinementSetting,
  stageOf,
  type Values,
} from "./setting.ts";

/** Schedules whose work is averaged. */
const countedSteps = 64;

/**
 * Multiply-adds of a method's training step, averaged over the first schedules that training draws: its own graph, and the
 * passes before it that draw its past.
 */
export async function stepCost(
  setting: RefinementSetting,
  method: Values,
  context: StageContext,
): Promise<number> {
  const { task } = await stageOf(setting, method, context.seed, 1).create(context);
  const rollouts = counting(context.device);
  let total = 0;
  for (let step = 0; step < countedSteps; step++) {
    const values = await task.nextBatch({ step, weights: setting.base.weights, device: rollouts.device });
    total += runMultiplyAdds(task.graph, values) + rollouts.take();
  }
  task.dispose?.();
  return total / countedSteps;
}

/** Multiply-adds per step, by method. */
export function costArm(bench: RefinementBench): Arm {
  const { setting } = bench;
  const counted = async (signal: AbortSignal | undefined) => {
    const numbers: Record<string, number> = {};
    for (const [name, method] of Object.entries(setting.methods))
      numbers[name] = await stepCost(setting, method, bench.context(0, signal));
    return numbers;
  };
  return {
    name: armNames.cost(setting.set),
    definition: definitionOf(setting, { methods: setting.methods, countedSteps }),
    run: async ({ signal }) => ({ numbers: await counted(signal) }),
    recompute: async ({ signal }) => ({ numbers: await counted(signal), tolerance: 0 }),
  };
}

/** What training changed: an arm's file holds only this, the rest is the base's. */
export function movedWeights(base: ModelFile, weights: Weights): Map<string, Value> {
  return new Map([...weights].filter(([name, value]) => base.weights.get(name)?.data !== value.data));
}

/** What a training is told. */
export interface Training {
  readonly name: string;
  readonly method: Values;
  readonly seed: number;
  readonly steps: number;
  readonly signal: AbortSignal | undefined;
}

/** Runs a training to its end: its curve and held-out losses, and the weights it leaves. */
export async function readTraining(
  training: ReturnType<typeof trainStage>,
  steps: number,
  onProgress: (text: string) => void,
) {
  const { weights, held, secondsPerStep, curve } = await followed(training, onProgress, "teacherLoss");
  return { numbers: { steps, secondsPerStep, curve, ...listed(held) }, weights };
}

/** A method from the base: its numbers, and the model, of which only what moved is to be kept. */
export async function trained(bench: RefinementBench, { name, method, seed, steps, signal }: Training) {
  const { setting } = bench;
  const { base } = setting;
  const training = trainStage(stageOf(setting, method, seed, steps), bench.context(seed, signal));
  const { numbers, weights } = await readTraining(training, steps, (text) =>
    setting.onProgress?.(`${name}, seed ${seed}: ${text}`),
  );
  return { numbers, moved: { description: base.description, weights: movedWeights(base, weights) } };
}

/** One method from the base, as many steps as the claimed method's work allows. */
export function trainingArm(bench: RefinementBench, method: string, seed: number): Arm {
  const { setting } = bench;
  const { set, methods, refine } = setting;
  const claimed = claimedMethod(setting);
  const own = methods[method] as Values; // one of its keys
  return {
    name: armNames.training(set, method, seed),
    definition: definitionOf(setting, {
      method: own,
      claimed: methods[claimed],
      seed,
      countedSteps,
    }),
    run: async ({ rows, signal }) => {
      const cost = (name: string) => numberOf(rows, armNames.cost(set), name);
      const steps = Math.round((refine.steps * cost(claimed)) / cost(method));
      const { numbers, moved } = await trained(bench, { name: method, method: own, seed, steps, signal });
      const { steps: taken, ...rest } = numbers;
      return {
        numbers: { steps: taken, multiplyAdds: taken * cost(method), ...rest },
        model: encodeModel(moved, "F16"),
      };
    },
  };
}

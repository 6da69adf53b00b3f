/** Arms that try variants of the claimed method: weight of the second pass, rollout, targets, length, other pasts. */
import { encodeModel, type ModelFile } from "../../../formats/modelFile.ts";
import type { Arm } from "../arms.node.ts";
import { dynamicsNumbers, guidanceSamples, noise, sampleNumbers, wholeModel } from "./judging.ts";
import { armNames, claimedMethod, definitionOf, type RefinementBench, type Values } from "./setting.ts";
import { stepCost, trained } from "./training.ts";

/** Guidance at which variants are compared. */
const sweptGuidance = 0.5;

/**
 * A variant of the method at a seed that no headline uses: trained for its share of the work, judged on few samples of the
 * noise that chooses guidance. Null trains nothing: the base.
 */
export function sweepArm(bench: RefinementBench, name: string, variant: Values | null, seed: number): Arm {
  const { setting } = bench;
  const { set, methods, refine, base } = setting;
  const claimed = methods[claimedMethod(setting)] as Values; // the first of them
  const about = { seed, sweptGuidance, guidanceSamples, noise: noise.guidance };
  const context = (signal: AbortSignal | undefined) => bench.context(0, signal);
  const judge = async (model: ModelFile, signal: AbortSignal | undefined) => ({
    ...(await dynamicsNumbers(bench, model, signal)),
    ...(await sampleNumbers(bench, model, {
      count: Math.min(guidanceSamples, setting.samples),
      seed: noise.guidance,
      guided: sweptGuidance,
      signal,
    })),
  });
  return {
    name: armNames.sweep(set, name),
    isExtra: true,
    definition: definitionOf(setting, { variant, ...about }),
    run: async ({ signal }) => {
      if (variant === null) return { numbers: await judge(base, signal) };
      const { steps = refine.steps, ...method } = variant as Values & { readonly steps?: number };
      const [spent, cost] = [
        await stepCost(setting, claimed, context(signal)),
        await stepCost(setting, method, context(signal)),
      ];
      const taken = Math.round((steps * spent) / cost);
      const { numbers, moved } = await trained(bench, { name, method, seed, steps: taken, signal });
      const model = wholeModel(base, encodeModel(moved, "F16"));
      return { numbers: { ...numbers, multiplyAdds: taken * cost, ...(await judge(model, signal)) } };
    },
  };
}

/**
 * The same refinement from a base that was trained for less: whether what is found depends on how mature the base is. The
 * base is trained from scratch over the base's tokenizer; its variants are compared as in the sweep.
 */
import { encodeModel } from "../../../formats/modelFile.ts";
import type { Stage } from "../../../regimen/system.ts";
import { trainStage } from "../../../regimen/trainStage.ts";
import type { Arm, ArmContext } from "../arms.node.ts";
import { wholeModel } from "./judging.ts";
import { armNames, definitionOf, RefinementBench, type RefinementSetting, type Values } from "./setting.ts";
import { sweepArm } from "./sweep.ts";
import { movedWeights, readTraining } from "./training.ts";

export interface YoungerBase {
  /** Steps of the stage, and what else decides it. */
  readonly training: Values & { readonly steps: number };
  readonly stage: Stage;
  /** Names of weights that the stage makes: it begins without them. */
  readonly prefix: string;
  readonly seed: number;
  /** What is tried from it, at this seed; null trains nothing. */
  readonly variants: Readonly<Record<string, Values | null>>;
}

/** Trains the base; then each variant from it. All rows only inform. */
export function youngerArms(setting: RefinementSetting, younger: YoungerBase): Arm[] {
  const { base, set } = setting;
  const { stage, prefix, training, seed, variants } = younger;
  const name = armNames.younger(set);
  const about = { younger: training, prefix, seed };
  const train = async (signal: AbortSignal | undefined) => {
    const bench = new RefinementBench(setting);
    const earlier = new Map([...base.weights].filter(([weight]) => !weight.startsWith(prefix)));
    const run = trainStage(stage, { ...bench.context(seed, signal), earlier });
    const { numbers, weights } = await readTraining(run, training.steps, (text) =>
      setting.onProgress?.(`${name}, seed ${seed}: ${text}`),
    );
    const moved = { description: base.description, weights: movedWeights(base, weights) };
    return { numbers, model: encodeModel(moved, "F16") };
  };
  let bench: RefinementBench | undefined;
  const open = async ({ model }: ArmContext) => {
    bench ??= new RefinementBench({
      ...setting,
      base: { ...wholeModel(base, await model(name)), sha256: base.sha256 },
    });
    return bench;
  };
  const variantArm = (variantName: string, variant: Values | null): Arm => {
    const { definition, ...arm } = sweepArm(new RefinementBench(setting), variantName, variant, seed);
    return {
      ...arm,
      name: armNames.younger(set, variantName),
      definition: { ...about, variant: definition },
      run: async (context) => sweepArm(await open(context), variantName, variant, seed).run(context),
    };
  };
  return [
    {
      name,
      isExtra: true,
      definition: definitionOf(setting, about),
      run: ({ signal }) => train(signal),
    },
    ...Object.entries(variants).map(([variantName, variant]) => variantArm(variantName, variant)),
  ];
}

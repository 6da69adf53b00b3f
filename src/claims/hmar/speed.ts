/**
 * Time, work and cache of next-scale prediction from the picture alone (HMAR) against VAR's, which sees all scales: same
 * blocks, same guidance, no refinement. Pairs of attention are counted over the whole sequence.
 */
import { blockCausal } from "../../context/blockCausal.ts";
import { ownGroup } from "../../context/ownGroup.ts";
import type { Visibility } from "../../context/types.ts";
import { aloneGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import { initialise } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { codebookName } from "../../regimen/multiScaleModel.ts";
import type { Device } from "../../runtime/device.ts";
import { peakBytes } from "../../runtime/memory.ts";
import type { Graph } from "../../runtime/trace.ts";
import { buildHmar } from "../../systems/hmar/build.ts";
import { type HmarModelConfig, hmarModelSchema } from "../../systems/hmar/config.ts";
import { HmarGenerator } from "../../systems/hmar/generate.ts";
import { hmarRecipes } from "../../systems/hmar/recipe.ts";
import { readSchedule } from "../../systems/hmar/refineSchedule.ts";
import { hmarSystem } from "../../systems/hmar/system.ts";
import { VarGenerator } from "../../systems/var/generate.ts";
import { varSystem } from "../../systems/var/system.ts";
import { buildVar } from "../../systems/var/varModel.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type Contender, contestArm, countResults } from "../timing.ts";

export interface HmarSpeedOptions {
  readonly patchNums: readonly number[];
  readonly width: number;
  readonly batches: readonly number[];
  readonly repeats: number;
}

const numClasses = 16;
const picturesInMemory = 32;
const sampling = { cfgScale: 1.5, topK: 0, topP: 0.96, temperature: 1 };
const about = { classNames: [], imageSize: 0 };

/** Query-key pairs that one head of one layer compares. */
export function attentionPairs(patchNums: readonly number[], visibility: Visibility): number {
  return visibility.hidden(scalePlan(patchNums)).reduce((sum, hidden) => sum + 1 - hidden, 0);
}

/** Bytes alive at once in the guided pass over the last scale, for the pictures whose memory is compared. */
function lastScaleBytes({ outputs }: Graph, { groups, length }: Plan<Scale>): number {
  const size = groups.at(-1)?.size ?? 0;
  const symbols = { B: picturesInMemory, N: size, M: length - size };
  return peakBytes(Object.values(outputs), new Map(Object.entries(symbols)));
}

/** The model whose time is taken. */
export function speedConfig({
  patchNums,
  width,
}: Pick<HmarSpeedOptions, "patchNums" | "width">): HmarModelConfig {
  const { tokenizer, transformer, tailLayers } = hmarRecipes["synth-32"].recipe;
  const sides = { patchNums: [...patchNums] };
  return hmarModelSchema.parse({
    tokenizer: { ...tokenizer, ...sides },
    transformer: { ...transformer, ...sides, numClasses, embedDim: width, numHeads: width / 16 },
    tailLayers,
  });
}

/** Without refinement, or with the passes that `refine` names. */
function hmar(config: HmarModelConfig, device: Device, refine = "none"): Contender {
  const networks = buildHmar(config);
  const specs = hmarSystem.parameters({ system: "hmar", config, ...about });
  const made = new HmarGenerator(networks, initialise(specs, RandomStream.from(1, "speed")), device);
  const schedule = readSchedule(refine, networks.tokenizer.plan);
  return {
    generate: (labels, streams, signal) =>
      countResults(made.generate(labels, { ...sampling, schedule, ...(signal && { signal }) }, streams)),
    counted: {
      pairs: attentionPairs(config.tokenizer.patchNums, ownGroup),
      modelPasses: schedule.reduce((sum, passes) => sum + passes.length, 0),
      cacheBytes: 0,
      peakBytes: lastScaleBytes(aloneGraph(networks.nextScale, 2), networks.tokenizer.plan),
    },
    [Symbol.dispose]: () => made[Symbol.dispose](),
  };
}

function scaleWise({ tokenizer: codec, transformer: blocks }: HmarModelConfig, device: Device): Contender {
  const config = { tokenizer: codec, transformer: blocks };
  const { tokenizer, transformer } = buildVar(config);
  const specs = varSystem.parameters({ system: "var", config, ...about });
  const weights = initialise(specs, RandomStream.from(1, "speed"));
  const made = new VarGenerator(tokenizer, transformer, weights, codebookName, device);
  const { depth, embedDim } = blocks;
  return {
    generate: (labels, streams, signal) =>
      countResults(
        made.generate(labels, { ...sampling, smooth: false, ...(signal && { signal }) }, { streams }),
      ),
    counted: {
      pairs: attentionPairs(codec.patchNums, blockCausal),
      // Keys and values of both guidance branches, float32.
      cacheBytes: 2 * 2 * 4 * depth * embedDim * tokenizer.plan.length,
      peakBytes: lastScaleBytes(stepGraph(transformer, 2), tokenizer.plan),
    },
    [Symbol.dispose]: () => made[Symbol.dispose](),
  };
}

/** Name of the arm of a schedule and a width. */
export const hmarSpeedName = ({ patchNums, width }: Pick<HmarSpeedOptions, "patchNums" | "width">): string =>
  `speed-${scalePlan(patchNums).length}-${width}`;

/** Passes, pairs, cache and time; sides `hmar` and `var`. */
export function hmarSpeedArm(
  options: HmarSpeedOptions,
  device: Device,
  onProgress?: (text: string) => void,
): Arm {
  const { batches, repeats } = options;
  const config = speedConfig(options);
  const open = (on: Device) => ({ hmar: () => hmar(config, on), var: () => scaleWise(config, on) });
  const name = hmarSpeedName(options);
  return contestArm(
    { name, definition: { config, sampling }, batches, repeats, numClasses, open },
    device,
    onProgress,
  );
}

export const schedulesName = "schedules";

/** Time and passes of one size under several schedules of refinement, sides by their names. */
export function schedulesArm(
  options: HmarSpeedOptions,
  schedules: Readonly<Record<string, string>>,
  device: Device,
  onProgress?: (text: string) => void,
): Arm {
  const { batches, repeats } = options;
  const config = speedConfig(options);
  const open = (on: Device) =>
    Object.fromEntries(
      Object.entries(schedules).map(([name, refine]) => [name, () => hmar(config, on, refine)] as const),
    );
  return contestArm(
    { name: schedulesName, definition: { config, sampling, schedules }, batches, repeats, numClasses, open },
    device,
    onProgress,
  );
}

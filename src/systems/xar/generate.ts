/** xAR's generation: one path from noise per entity, guidance rising over the entities. Source: `models/xar.py` (code). */
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { type FlowGroupResult, generateFlowGroups } from "../../decoding/flowGroupGenerator.ts";
import { euler, eulerMaruyama, linspace } from "../../decoding/flowSolvers.ts";
import type { ProgramStore } from "../../decoding/programStore.ts";
import type { Group } from "../../plan/types.ts";
import type { RandomStream } from "../../tensor/random.ts";
import type { XarTransformer } from "./model.ts";

export const solvers = ["euler-maruyama", "euler"] as const;

export interface GenerateOptions {
  /** Guidance t of the last entity, rising from 0 at the first: velocities are (1 + t) conditional - t unconditional. */
  readonly cfgScale: number;
  readonly solver: (typeof solvers)[number];
  /** Passes of the network per entity. */
  readonly steps: number;
  readonly signal?: AbortSignal;
}

/** Standard normal numbers [B * size * D] of an entity: where its paths start, then those of each step. */
export interface EntityNoise {
  initial(group: Group): Float32Array;
  step(group: Group, step: number): Float32Array;
}

/** The times of a solver: the stochastic one stops at 0.04 and goes on to 0 without noise. */
export function solverTimes({ solver, steps }: Pick<GenerateOptions, "solver" | "steps">): number[] {
  return solver === "euler" ? linspace(1, 0, steps + 1) : [...linspace(1, 0.04, steps), 0];
}

/** Noise from one stream per picture, whatever else is in the batch. */
export function streamNoise(valueWidth: number, streams: readonly RandomStream[]): EntityNoise {
  const draw = ({ size }: Group) => {
    const length = size * valueWidth;
    const out = new Float32Array(streams.length * length);
    for (const [b, stream] of streams.entries()) out.set(stream.normals(length), b * length);
    return out;
  };
  return { initial: draw, step: draw };
}

/** Values of `labels.length` pictures in the plan's order; yields after every entity. Errors: LABEL_, ABORTED. */
export async function* generateEntities(
  model: XarTransformer,
  programs: ProgramStore,
  labels: Int32Array,
  options: GenerateOptions,
  noise: EntityNoise,
): AsyncGenerator<FlowGroupResult> {
  checkLabels(labels, model.conditioner);
  const { cfgScale, solver, signal } = options;
  const times = solverTimes(options);
  const last = model.plan.groups.length - 1;
  yield* generateFlowGroups(model, programs, {
    labels,
    // One entity alone takes all the guidance (inferred).
    guidance: ({ index }) => 1 + cfgScale * (last === 0 ? 1 : index / last),
    solve: (group, field) => {
      const problem = { ...field, times, noise: noise.initial(group) };
      return solver === "euler" ? euler(problem) : eulerMaruyama(problem, (step) => noise.step(group, step));
    },
    ...(signal && { signal }),
  });
}

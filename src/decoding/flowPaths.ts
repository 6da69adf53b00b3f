/** Paths from noise of groups: which solver, at which times, with whose random numbers. Source: xAR `models/sampler.py` (code). */
import type { Group } from "../plan/types.ts";
import type { RandomStream } from "../tensor/random.ts";
import { euler, eulerMaruyama, type FlowProblem, linspace } from "./flowSolvers.ts";

export const solvers = ["euler-maruyama", "euler"] as const;

export interface PathOptions {
  readonly solver: (typeof solvers)[number];
  /** Passes of the network per path, at least 1. */
  readonly steps: number;
}

/** Standard normal numbers [B, N, D] of a group: where its paths start, then those of each step. */
export interface PathNoise {
  initial(group: Group): Float32Array;
  step(group: Group, step: number): Float32Array;
}

/** The times of a solver: the stochastic one stops at 0.04 and goes on to 0 without noise. */
export function solverTimes({ solver, steps }: PathOptions): number[] {
  return solver === "euler" ? linspace(1, 0, steps + 1) : [...linspace(1, 0.04, steps), 0];
}

/** Noise from one stream per picture, whatever else is in the batch; `width` numbers per site. */
export function streamNoise(width: number, streams: readonly RandomStream[]): PathNoise {
  const draw = ({ size }: Group) => {
    const length = size * width;
    const out = new Float32Array(streams.length * length);
    for (const [b, stream] of streams.entries()) out.set(stream.normals(length), b * length);
    return out;
  };
  return { initial: draw, step: draw };
}

/** Values [B, N, D] of a group at the end of its paths. Errors: ABORTED. */
export function solvePath(
  group: Group,
  field: Omit<FlowProblem, "times" | "noise">,
  options: PathOptions,
  noise: PathNoise,
): Promise<Float64Array> {
  const problem = { ...field, times: solverTimes(options), noise: noise.initial(group) };
  return options.solver === "euler"
    ? euler(problem)
    : eulerMaruyama(problem, (step) => noise.step(group, step));
}

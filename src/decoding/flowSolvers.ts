/**
 * From noise at time 1 to data at time 0 along a velocity field: Euler for the ordinary equation, Euler-Maruyama for the
 * stochastic one with the same marginals. The state is float64 on the host; the field is whatever the caller runs.
 * Source: xAR and FlowAR `models/sampler.py` (code), after SiT. Times fall; every step has dt < 0.
 */
import { invariant } from "../tensor/errors.ts";
import { throwIfAborted } from "./loop.ts";

/** Velocities of a state, in its layout; the second ones where guidance was asked for. */
export interface Velocities {
  readonly conditional: Float32Array;
  readonly unconditional?: Float32Array;
}

export interface FlowGuidance {
  /** w of unconditional + w (conditional - unconditional); 1 and below take the conditional alone. */
  readonly weight: number;
  /** Guidance acts at times up to this one; always when absent. */
  readonly until?: number;
  /** ... and down to this one. */
  readonly from?: number;
}

/** One integration. */
export interface FlowProblem {
  /** State at the first time. */
  readonly noise: ArrayLike<number>;
  /** At least one, falling; the state is returned at the last. */
  readonly times: ArrayLike<number>;
  readonly guidance?: FlowGuidance;
  /** The field at a state; `guided` asks for both velocities, `step` counts calls from 0. */
  velocity(state: Float32Array, time: number, guided: boolean, step: number): Promise<Velocities>;
  readonly signal?: AbortSignal;
}

/**
 * `count` times from `from` to `to`, bit for bit those of `torch.linspace` in float64: filled from both ends, each product
 * added before it is rounded (fused). One rounding more would move a time across a limit of guidance that equals it.
 */
export function linspace(from: number, to: number, count: number): number[] {
  if (count === 1) return [from];
  const [step, half] = [(to - from) / (count - 1), Math.floor(count / 2)];
  return Array.from({ length: count }, (_, i) =>
    i < half ? fused(step, i, from) : fused(-step, count - 1 - i, to),
  );
}

/** High and low half of a number's digits, each with room to be multiplied exactly. Source: Dekker 1971. */
function halves(x: number): readonly [number, number] {
  const shifted = 134_217_729 * x; // 2^27 + 1
  const high = shifted - (shifted - x);
  return [high, x - high];
}

/** a b + c, rounded once: what rounding takes from the product and from the sum is exact and is given back. */
function fused(a: number, b: number, c: number): number {
  const [[aHigh, aLow], [bHigh, bLow]] = [halves(a), halves(b)];
  const product = a * b;
  const ofProduct = aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
  const sum = product + c;
  const added = sum - product;
  const ofSum = product - (sum - added) + (c - added);
  return sum + (ofSum + ofProduct);
}

/** Score of the marginal at time t > 0, from a velocity: -((1 - t) v + x) / t. */
export function scoreOf(velocity: number, state: number, time: number): number {
  return -((1 - time) * velocity + state) / time;
}

/** Integrates; `advance` turns the velocity of one element into its next state. */
async function integrate(
  { noise, times, guidance, velocity, signal }: FlowProblem,
  advance: (state: number, velocity: number, step: number, index: number) => number,
): Promise<Float64Array> {
  const state = Float64Array.from(noise);
  for (let step = 0; step + 1 < times.length; step++) {
    throwIfAborted(signal);
    const time = times[step] as number; // in range
    const weight = guidance?.weight ?? 1;
    const { until = Number.POSITIVE_INFINITY, from = 0 } = guidance ?? {};
    const guided = weight > 1 && time <= until && time >= from;
    const { conditional, unconditional } = await velocity(Float32Array.from(state), time, guided, step);
    invariant(conditional.length === state.length, "One velocity per element.");
    invariant(!guided || unconditional?.length === state.length, "Guidance needs both velocities.");
    for (let i = 0; i < state.length; i++) {
      const own = conditional[i] as number; // checked
      const other = guided ? (unconditional?.[i] as number) : own; // checked
      state[i] = advance(state[i] as number, other + weight * (own - other), step, i);
    }
  }
  return state;
}

/** Euler's method: x += v dt. Errors: ABORTED. */
export function euler(problem: FlowProblem): Promise<Float64Array> {
  const { times } = problem;
  return integrate(problem, (x, v, step) => x + v * ((times[step + 1] as number) - (times[step] as number)));
}

/**
 * Euler-Maruyama with diffusion D = 2 t: x += (v - D / 2 score) dt + sqrt(D |dt|) noise, the last step without noise.
 * `stepNoise` gives standard normal numbers for each step but the last. Errors: ABORTED.
 */
export function eulerMaruyama(
  problem: FlowProblem,
  stepNoise: (step: number) => Float32Array,
): Promise<Float64Array> {
  const { times } = problem;
  const last = times.length - 2;
  let drawn: Float32Array | undefined;
  return integrate(problem, (x, v, step, i) => {
    const [time, dt] = [times[step] as number, (times[step + 1] as number) - (times[step] as number)];
    if (i === 0) drawn = step === last ? undefined : stepNoise(step);
    const diffusion = 2 * time;
    const drift = v - (diffusion / 2) * scoreOf(v, x, time);
    return x + drift * dt + Math.sqrt(diffusion * Math.abs(dt)) * (drawn?.[i] ?? 0);
  });
}

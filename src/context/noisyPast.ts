/**
 * Where the past of continuous groups comes from in training. Noisy context: one copy of the sequence, every group at a
 * time of its own, so that a group is predicted from noisy ones. Teacher forcing: a clean copy before the noisy groups.
 * Source: xAR, section 3.3 and its ablation; `models/xar.py` for independent times (code).
 */
import type { Plan } from "../plan/types.ts";
import type { NoisyPast, Visibility } from "./types.ts";

const byTime = (sign: 1 | -1) => (draws: readonly number[]) => [...draws].sort((a, b) => sign * (a - b));

/** Every group has a time of its own, whatever the others'. */
export const randomNoise: NoisyPast = { name: "random", cleanCopy: false, times: (draws) => draws };

/** inferred: the same draws, sorted, so that later groups are noisier. */
export const increasingNoise: NoisyPast = { name: "increasing", cleanCopy: false, times: byTime(1) };

/** inferred: the same draws, sorted, so that earlier groups are noisier. */
export const decreasingNoise: NoisyPast = { name: "decreasing", cleanCopy: false, times: byTime(-1) };

/** Teacher forcing: groups see the clean ones before them, as in generation, and no noisy one but themselves. */
export const cleanPast: NoisyPast = { name: "clean", cleanCopy: true, times: (draws) => draws };

export const noisyPasts = {
  random: randomNoise,
  increasing: increasingNoise,
  decreasing: decreasingNoise,
  clean: cleanPast,
} as const;

/** A sequence of all groups but the last, clean, then all groups, noisy. */
export interface CopiedOrder extends Pick<Plan, "length" | "groupOf"> {
  /** Position in the plan of every token. */
  readonly positions: Int32Array;
  /** Clean groups g see clean ones up to g; noisy groups g see clean ones before g, and themselves. */
  readonly visibility: Visibility;
}

/** The order of teacher forcing over a plan; noisy groups are numbered after the plan's. */
export function cleanCopy({ groups, length, groupOf }: Plan): CopiedOrder {
  const count = groups.length;
  const clean = groups.at(-1)?.start ?? 0;
  const positions = Int32Array.from({ length: clean + length }, (_, i) => (i < clean ? i : i - clean));
  const order = positions.map((at, i) => (groupOf[at] as number) + (i < clean ? 0 : count)); // in range
  const isHidden = (query: number, key: number): boolean => {
    if (key >= count) return key !== query;
    return query >= count ? key >= query - count : key > query;
  };
  const visibility: Visibility = {
    name: "clean copy",
    cacheable: true,
    hidden: ({ length: n, groupOf: of }) =>
      Uint8Array.from(
        { length: n * n },
        (_, i) => (isHidden(of[Math.floor(i / n)] as number, of[i % n] as number) ? 1 : 0), // in range
      ),
  };
  return { length: clean + length, groupOf: order, positions, visibility };
}

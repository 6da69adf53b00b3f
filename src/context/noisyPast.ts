/**
 * Where the past of continuous groups comes from in training. Noisy context: one copy of the sequence, every group at a
 * time of its own, so that a group is predicted from noisy ones. Teacher forcing: a clean copy before the noisy groups.
 * Source: xAR, section 3.3 and its ablation; `models/xar.py` for independent times (code).
 */
import type { Plan } from "../plan/types.ts";
import { blockCausal } from "./blockCausal.ts";
import type { NoisyPast, Visibility } from "./types.ts";
import { betweenGroups } from "./visibility.ts";

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

/** Tokens of a training sequence, and which of a picture's conditions each one has. */
export interface TrainingOrder extends Pick<Plan, "length" | "groupOf"> {
  /** Position in the plan of every token. */
  readonly positions: Int32Array;
  /** Tokens of the clean copy, which come first. */
  readonly clean: number;
  /** Groups of the clean copy, at time 0, and then the noisy ones. */
  readonly conditions: number;
  readonly visibility: Visibility;
}

/** All groups but the last, clean, then all groups, noisy; noisy groups are numbered after the clean ones. */
function copiedOrder({ groups, length, groupOf }: Plan): TrainingOrder {
  const copies = groups.length - 1;
  const clean = groups.at(-1)?.start ?? 0;
  const positions = Int32Array.from({ length: clean + length }, (_, i) => (i < clean ? i : i - clean));
  const order = positions.map((at, i) => (groupOf[at] as number) + (i < clean ? 0 : copies)); // in range
  const isHidden = (query: number, key: number): boolean => {
    if (key >= copies) return key !== query;
    return query >= copies ? key >= query - copies : key > query;
  };
  const visibility = betweenGroups("clean copy", isHidden);
  const conditions = copies + groups.length;
  return { length: clean + length, groupOf: order, positions, clean, conditions, visibility };
}

/** The sequence that a past trains on. With a clean copy, noisy group g sees itself and the clean groups before g. */
export function trainingOrder({ cleanCopy }: NoisyPast, plan: Plan): TrainingOrder {
  if (cleanCopy) return copiedOrder(plan);
  const { groups, length, groupOf } = plan;
  const positions = Int32Array.from({ length }, (_, i) => i);
  return { length, groupOf, positions, clean: 0, conditions: groups.length, visibility: blockCausal };
}

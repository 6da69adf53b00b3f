/**
 * How many tokens each pass of a scale fixes: one number per pass, the first by next-scale prediction, the others by masked
 * prediction. It belongs to sampling, not to the weights. Source: HMAR `sample.py` (code).
 */
import type { Plan, Scale } from "../../plan/types.ts";
import { NextxError } from "../../tensor/errors.ts";

/** Per scale, tokens fixed by each pass; they sum to the scale's size. */
export type RefineSchedule = readonly (readonly number[])[];

/** code: the default of 256 px, by the side of a scale; larger scales take one pass. */
const bySide: Readonly<Record<number, readonly number[]>> = { 2: [1, 3], 3: [1, 1, 2, 5] };

export function defaultSchedule({ groups }: Plan<Scale>): RefineSchedule {
  return groups.map(({ side, size, index }) => (index === 0 ? [size] : (bySide[side] ?? [size])));
}

/** One pass per scale: next-scale prediction alone. */
export const withoutRefinement = ({ groups }: Plan<Scale>): RefineSchedule =>
  groups.map(({ size }) => [size]);

const bad = (message: string, path: string) =>
  new NextxError("SAMPLING_BAD_OPTION", message, {
    path,
    hint: 'Scales by "/", passes by ",": "1/1,3/9/16"; "none" refines nothing.',
  });

/** Errors: SAMPLING_BAD_OPTION unless every scale's passes fix all its tokens; the first scale takes one pass. */
export function checkSchedule(schedule: RefineSchedule, { groups }: Plan<Scale>): void {
  if (schedule.length !== groups.length)
    throw bad(`${groups.length} scales need as many entries, got ${schedule.length}.`, "refine");
  for (const { index, size } of groups) {
    const passes = schedule[index] ?? [];
    const isWhole = passes.every((tokens) => Number.isInteger(tokens) && tokens > 0);
    if (!isWhole || passes.reduce((a, b) => a + b, 0) !== size)
      throw bad(`Passes of scale ${index} must sum to its ${size} tokens.`, `refine[${index}]`);
    if (index === 0 && passes.length > 1)
      throw bad("The first scale has no past to refine it from.", "refine[0]");
  }
}

/** The schedule that a text names: "default", "none", or counts. Errors: SAMPLING_BAD_OPTION. */
export function readSchedule(text: string, plan: Plan<Scale>): RefineSchedule {
  if (text === "default") return defaultSchedule(plan);
  if (text === "none") return withoutRefinement(plan);
  const schedule = text.split("/").map((scale) => scale.split(",").map(Number));
  checkSchedule(schedule, plan);
  return schedule;
}

/** Learning-rate schedules as functions of the step, 0-based. */
import { NextxError } from "../tensor/errors.ts";

export interface ScheduleOptions {
  readonly name: "lin0" | "cosine" | "constant" | "halving";
  readonly peak: number;
  readonly steps: number;
  /** Steps of linear warm-up; from 0.005 of the peak for lin0 (code), from 0 otherwise. */
  readonly warmup: number;
  /** Final fraction of the peak. */
  readonly end: number;
  /** For `halving`: steps of an epoch; all steps when absent. */
  readonly period?: number;
}

/**
 * Learning rate of a step. `lin0` (VAR `utils/lr_control.py`, code): after the warm-up the peak until progress 0.05, then
 * end + (1 - end) (1 - p) / 0.95. `halving` (Autoformer `utils/tools.py`, code): two epochs at the peak, then half of the
 * former epoch's rate.
 */
export function learningRate(step: number, options: ScheduleOptions): number {
  const { name, peak, steps, warmup, end, period = steps } = options;
  if (steps < 1)
    throw new NextxError("SCHEDULE_BAD_STEPS", `A schedule needs at least one step, got ${steps}.`, {
      path: "steps",
    });
  if (step < warmup) {
    const from = name === "lin0" ? 0.005 : 0;
    return peak * (from + ((1 - from) * step) / warmup);
  }
  const progress = (step - warmup) / Math.max(steps - 1 - warmup, 1);
  switch (name) {
    case "constant":
      return peak;
    case "cosine":
      return peak * (end + (1 - end) * 0.5 * (1 + Math.cos(Math.PI * Math.min(progress, 1))));
    case "halving":
      return peak * 0.5 ** Math.max(0, Math.floor((step - warmup) / period) - 1);
    case "lin0":
      return progress < 0.05 ? peak : peak * (end + ((1 - end) * (1 - Math.min(progress, 1))) / 0.95);
    default:
      return name satisfies never;
  }
}

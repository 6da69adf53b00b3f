/**
 * Quantiles of forecasts from the errors of back-tests, as in split conformal prediction: whatever the method, the future is
 * taken to lie about its forecasts as the known rows did. Errors are on the scale of each series and pooled over all.
 */
import type { LongSeries } from "../../data/series/longTable.ts";
import { changes, type ScaledSeries, withDigitsOf } from "../../data/series/pool.ts";
import { NextxError } from "../../tensor/errors.ts";

/** Values below which a share of the outcomes is expected. */
export interface Quantile {
  /** Between 0 and 1. */
  readonly level: number;
  readonly values: readonly number[];
}

/** Errors truth - forecast of every step of the horizon, in deviations of the series. */
export type StepErrors = readonly (readonly number[])[];

/** Linear between neighbours of a sorted list that is not empty. */
export function quantileOf(sorted: readonly number[], level: number): number {
  const at = level * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(at)] as number, sorted[Math.ceil(at)] as number]; // in range
  return below + (above - below) * (at - Math.floor(at));
}

/** Errors without which a level says nothing: one is expected beyond it. 1 - 0.9 is not quite 0.1. */
const fewest = (level: number): number => Math.ceil(1 / Math.min(level, 1 - level) - 1e-9);

/** @throws NextxError FORECAST_FEW_ERRORS when `count` errors are too few for a level */
export function requireErrors(levels: readonly number[], count: number): void {
  const extreme = levels.find((level) => count < fewest(level));
  if (extreme === undefined) return;
  throw new NextxError(
    "FORECAST_FEW_ERRORS",
    `The quantile ${extreme} needs ${fewest(extreme)} errors of back-tests; there are ${count}.`,
    { path: "quantiles", hint: "Ask for more back-tests, or for quantiles nearer to 0.5." },
  );
}

/**
 * Offsets per step and level: of the step's own errors where there are enough for every level, else of all steps', so that
 * a step's quantiles never cross. @throws NextxError FORECAST_FEW_ERRORS
 */
function offsetsOf(errors: StepErrors, levels: readonly number[]): number[][] {
  const ascending = (list: readonly number[]) => [...list].sort((a, b) => a - b);
  const all = ascending(errors.flat());
  requireErrors(levels, all.length);
  const needed = Math.max(...levels.map(fewest));
  return errors.map((own) => {
    const pool = own.length < needed ? all : ascending(own);
    return levels.map((level) => quantileOf(pool, level));
  });
}

/**
 * Quantiles of every forecast, in the order of `levels`; those of a series that does not change are its forecast.
 * @throws NextxError FORECAST_FEW_ERRORS
 */
export function quantilesOf(
  forecast: readonly LongSeries[],
  scales: readonly Pick<ScaledSeries, "deviation">[],
  errors: StepErrors,
  levels: readonly number[],
): Quantile[][] {
  const offsets = scales.some(changes) ? offsetsOf(errors, levels) : [];
  return forecast.map(({ values }, i) => {
    const { deviation } = scales[i] as ScaledSeries; // one per series
    return levels.map((level, k) => ({
      level,
      values: values.map((value, step) =>
        withDigitsOf(value + (offsets[step]?.[k] ?? 0) * deviation, deviation),
      ),
    }));
  });
}

/** What a forecast may be asked for: the numbers that a program passes, and how much a table may hold. */
import { z } from "zod";
import { rowTime } from "../../data/series/cadence.ts";
import type { LongTable } from "../../data/series/longTable.ts";
import { NextxError } from "../../tensor/errors.ts";

/** At most: rows of a look-back, a horizon or a season; back-tests; rounds of training. Levels of quantiles lie between two. */
export const forecastLimits = {
  rows: 100_000,
  backtests: 1_000,
  epochs: 10_000,
  levels: [0.001, 0.999],
} as const;
/** Rows looked back on at most where none are asked for: more take more memory and time than a default should. */
export const maxUsualContext = 10_000;
/** Numbers in a table of forecasts at most. */
const maxNumbers = 10_000_000;

const integer = (least: number, most: number) => {
  const text = `It is an integer from ${least} to ${most}`;
  return z.int(text).min(least, text).max(most, text);
};

const level = () => {
  const [least, most] = forecastLimits.levels;
  const text = `It is a number from ${least} to ${most}`;
  return z.number(text).min(least, text).max(most, text);
};

/** The numbers that a program passes, limited as the command line's flags are. */
export const forecastNumbers = z.object({
  horizon: integer(1, forecastLimits.rows),
  context: integer(1, forecastLimits.rows).optional(),
  season: integer(1, forecastLimits.rows).optional(),
  backtests: integer(0, forecastLimits.backtests).optional(),
  quantiles: z.array(level()).optional(),
  seed: integer(0, Number.MAX_SAFE_INTEGER).optional(),
  epochs: integer(1, forecastLimits.epochs).optional(),
});

/** Before any work: whether the forecast can be written. @throws NextxError FORECAST_TOO_LARGE, SERIES_BAD_TIME */
export function requireHorizon({ series, cadence }: LongTable, horizon: number, quantiles = 0): void {
  const numbers = series.length * horizon * (1 + quantiles);
  if (numbers > maxNumbers)
    throw new NextxError(
      "FORECAST_TOO_LARGE",
      `A table of forecasts holds at most ${maxNumbers} numbers; this one would have ${numbers}.`,
      { path: "horizon", hint: "Ask for fewer rows or quantiles, or divide the series into several files." },
    );
  for (const { timesMs } of series) rowTime(timesMs, cadence, timesMs.length - 1 + horizon);
}

/** What a forecast may be asked for: the numbers that a program passes, and how much a table may hold. */
import { z } from "zod";
import { rowTime } from "../../data/series/cadence.ts";
import type { LongTable } from "../../data/series/longTable.ts";
import { NextxError } from "../../tensor/errors.ts";

/** Rows of a look-back, a horizon or a season at most. */
const maxRows = 100_000;
/** Rows looked back on at most where none are asked for: more take more memory and time than a default should. */
export const maxUsualContext = 10_000;
/** Numbers in a table of forecasts at most. */
const maxNumbers = 10_000_000;

const integer = (least: number, most: number) => {
  const text = `It is an integer from ${least} to ${most}`;
  return z.int(text).min(least, text).max(most, text);
};

const level = () => {
  const text = "It is a number from 0.001 to 0.999";
  return z.number(text).min(0.001, text).max(0.999, text);
};

/** The limits of the command line's flags. */
export const forecastNumbers = z.object({
  horizon: integer(1, maxRows),
  context: integer(1, maxRows).optional(),
  season: integer(1, maxRows).optional(),
  backtests: integer(0, 1_000).optional(),
  quantiles: z.array(level()).optional(),
  seed: integer(0, Number.MAX_SAFE_INTEGER).optional(),
  epochs: integer(1, 10_000).optional(),
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

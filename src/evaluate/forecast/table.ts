/** Forecasting and back-testing a long table of series. */
import { timeAfter } from "../../data/series/cadence.ts";
import type { LongSeries, LongTable } from "../../data/series/longTable.ts";
import { cutWindows, type ScaledSeries, withScale } from "../../data/series/pool.ts";
import { throwIfAborted } from "../../decoding/loop.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { FitContext, FitMethod, FittedForecaster } from "./methods.ts";

/** What a method needs besides its series. */
export type TableSetting = Omit<FitContext, "series" | "cadence">;

const batchSize = 256;

const truncated = (series: LongSeries, rows: number): LongSeries => ({
  id: series.id,
  timesMs: series.timesMs.slice(0, rows),
  values: series.values.slice(0, rows),
});

/** @throws NextxError SERIES_TOO_SHORT for a series without a whole look-back */
function requireContext(series: readonly LongSeries[], contextLength: number): void {
  const short = series.find(({ values }) => values.length < contextLength);
  if (short) {
    throw new NextxError(
      "SERIES_TOO_SHORT",
      `A series has ${short.values.length} rows, fewer than are looked back on.`,
      {
        path: `series "${short.id}"`,
        hint: `Pass --context ${Math.max(1, short.values.length)} or less, or remove it.`,
      },
    );
  }
}

/** The rows after the end of every series, on its own scale. */
async function continueSeries(
  forecaster: FittedForecaster,
  series: readonly ScaledSeries[],
  { cadence }: LongTable,
  { sizes, signal }: TableSetting,
): Promise<LongSeries[]> {
  const horizon = sizes.predictionLength;
  const out: LongSeries[] = [];
  for (let at = 0; at < series.length; at += batchSize) {
    throwIfAborted(signal);
    const part = series.slice(at, at + batchSize);
    const places = part.map((one) => ({ series: one, start: one.values.length - sizes.contextLength }));
    const forecast = await forecaster.forecast(cutWindows(places, sizes, forecaster.labelLength, cadence));
    for (const [i, { id, timesMs, mean, deviation }] of part.entries()) {
      out.push({
        id,
        timesMs: Array.from({ length: horizon }, (_, step) =>
          timeAfter(timesMs.at(-1) as number, cadence, step + 1),
        ), // not empty
        values: Array.from(
          forecast.subarray(i * horizon, (i + 1) * horizon),
          (value) => value * deviation + mean,
        ),
      });
    }
  }
  return out;
}

/** Fits on all rows and gives the horizon after them. @throws NextxError SERIES_TOO_SHORT, TRAIN_NOT_FINITE, ABORTED */
export async function forecastTable(
  learn: FitMethod,
  table: LongTable,
  setting: TableSetting,
): Promise<LongSeries[]> {
  requireContext(table.series, setting.sizes.contextLength);
  const series = table.series.map(withScale);
  using forecaster = await learn({ ...setting, series, cadence: table.cadence });
  return await continueSeries(forecaster, series, table, setting);
}

/** Errors of a method over all back-tests, on the scale of the series. */
export interface BacktestErrors {
  readonly mae: number;
  readonly rmse: number;
  /** Mean of 2 |a - b| / (|a| + |b|), 0 to 2; rows where both are zero count 0. */
  readonly smape: number;
  /** Mean absolute error by that of the seasonal-naive method within the known rows; undefined where that is zero. */
  readonly mase: number | undefined;
}

export interface Backtest {
  readonly method: string;
  readonly errors: BacktestErrors;
  /** Forecasts of the last back-test. */
  readonly last: readonly LongSeries[];
}

/**
 * Fits a method once on what precedes all back-tests, then forecasts at `count` ends, one horizon apart, the last of them
 * one horizon before the end. @throws NextxError SERIES_TOO_SHORT, TRAIN_NOT_FINITE, ABORTED
 */
export async function backtest(
  method: string,
  learn: FitMethod,
  table: LongTable,
  setting: TableSetting,
  count: number,
): Promise<Backtest> {
  const { sizes, season } = setting;
  const horizon = sizes.predictionLength;
  const known = table.series.map((one) => truncated(one, one.values.length - count * horizon));
  requireContext(known, sizes.contextLength);
  const scales = known.map(withScale);
  using forecaster = await learn({ ...setting, series: scales, cadence: table.cadence });
  const sum = { absolute: 0, squares: 0, symmetric: 0, rows: 0, scaled: 0, scaledSeries: 0 };
  let last: LongSeries[] = [];
  for (let test = count; test >= 1; test--) {
    const before = table.series.map((one, i) => {
      const { mean, deviation } = scales[i] as ScaledSeries; // one per series
      return { ...truncated(one, one.values.length - test * horizon), mean, deviation };
    });
    last = await continueSeries(forecaster, before, table, setting);
    for (const [i, { values: forecast }] of last.entries()) {
      const one = table.series[i] as LongSeries; // the same order
      const truth = one.values.slice(
        one.values.length - test * horizon,
        one.values.length - (test - 1) * horizon,
      );
      const errors = forecast.map((value, step) => Math.abs(value - (truth[step] as number))); // same length
      const total = errors.reduce((a, b) => a + b, 0);
      sum.absolute += total;
      sum.squares += errors.reduce((a, b) => a + b * b, 0);
      sum.rows += horizon;
      for (const [step, error] of errors.entries()) {
        const size = Math.abs(forecast[step] as number) + Math.abs(truth[step] as number); // same length
        sum.symmetric += size > 0 ? (2 * error) / size : 0;
      }
      const usual = seasonalError((known[i] as LongSeries).values, season); // the same order
      if (usual > 0) {
        sum.scaled += total / horizon / usual;
        sum.scaledSeries++;
      }
    }
  }
  return {
    method,
    last,
    errors: {
      mae: sum.absolute / sum.rows,
      rmse: Math.sqrt(sum.squares / sum.rows),
      smape: sum.symmetric / sum.rows,
      mase: sum.scaledSeries > 0 ? sum.scaled / sum.scaledSeries : undefined,
    },
  };
}

/** Mean of |y_t - y_(t - season)|; of the last step where there is no whole season. */
function seasonalError(values: readonly number[], season: number): number {
  const lag = season < values.length ? season : 1;
  const gaps = values.slice(lag).map((value, i) => Math.abs(value - (values[i] as number))); // as long as the slice
  return gaps.length > 0 ? gaps.reduce((a, b) => a + b, 0) / gaps.length : 0;
}

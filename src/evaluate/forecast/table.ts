/** Forecasting and back-testing a long table of series. */

import { rowTime } from "../../data/series/cadence.ts";
import type { LongSeries, LongTable } from "../../data/series/longTable.ts";
import { changes, cutWindows, onScale, type ScaledSeries, withScale } from "../../data/series/pool.ts";
import { throwIfAborted } from "../../decoding/loop.ts";
import { NextxError } from "../../tensor/errors.ts";
import { finite } from "./forecaster.ts";
import {
  type CopyMethod,
  type FitContext,
  type FittedForecaster,
  type ForecastMethod,
  naiveMethod,
} from "./methods.ts";
import { requireErrors, type StepErrors } from "./quantiles.ts";

/** What a method needs besides its series. */
export type TableSetting = Omit<FitContext, "series" | "cadence">;

const batchSize = 256;

/** Lets other work go on, such as a signal's. @throws NextxError ABORTED */
async function breathe({ signal }: TableSetting): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve));
  throwIfAborted(signal);
}

const truncated = (series: LongSeries, rows: number): LongSeries => ({
  id: series.id,
  timesMs: series.timesMs.slice(0, rows),
  values: series.values.slice(0, rows),
});

/** Rows that a method looks back on. */
export const rowsBack = (
  method: ForecastMethod,
  { sizes, season }: Pick<TableSetting, "sizes" | "season">,
): number => (typeof method === "function" ? sizes.contextLength : method.rows(season));

/** @throws NextxError SERIES_TOO_SHORT for a series without a whole look-back */
function requireRows(series: readonly LongSeries[], method: ForecastMethod, setting: TableSetting): void {
  const rows = rowsBack(method, setting);
  const short = series.find(({ values }) => values.length < rows);
  if (short === undefined) return;
  const count = short.values.length;
  const less = typeof method === "function" ? `--context ${count} or less` : "a shorter --season";
  throw new NextxError(
    "SERIES_TOO_SHORT",
    `A series has ${Math.max(0, count)} rows to look back on; ${rows} are needed.`,
    {
      path: `series "${short.id}"`,
      hint:
        count > 0
          ? `Pass ${less}, or fewer back-tests, or remove it.`
          : "Ask for fewer back-tests or a shorter horizon, or remove it.",
    },
  );
}

type Continue = (series: readonly ScaledSeries[]) => Promise<LongSeries[]>;

/** A method, fitted where it learns: on the series that change. The others go on as they are. Dispose when done. */
async function fitted(
  method: ForecastMethod,
  series: readonly ScaledSeries[],
  table: LongTable,
  setting: TableSetting,
): Promise<{ readonly continue: Continue } & Disposable> {
  const copying =
    (copy: CopyMethod): Continue =>
    async (from) =>
      from.map((one) => copyRows(copy, one, table, setting));
  const changing = series.filter(changes);
  if (typeof method !== "function" || changing.length === 0) {
    const copy = typeof method === "function" ? naiveMethod : method;
    return { continue: copying(copy), [Symbol.dispose]: () => undefined };
  }
  const forecaster = await method({ ...setting, series: changing, cadence: table.cadence });
  return {
    continue: async (from) => {
      const learned = await continueSeries(forecaster, from.filter(changes), table, setting);
      const byId = new Map(learned.map((one) => [one.id, one]));
      return from.map((one) => byId.get(one.id) ?? copyRows(naiveMethod, one, table, setting));
    },
    [Symbol.dispose]: () => forecaster[Symbol.dispose](),
  };
}

/** Times of the rows after a series. */
const timesAfter = ({ timesMs }: LongSeries, { cadence }: LongTable, { sizes }: TableSetting): number[] =>
  Array.from({ length: sizes.predictionLength }, (_, step) =>
    rowTime(timesMs, cadence, timesMs.length + step),
  );

function copyRows(method: CopyMethod, one: LongSeries, table: LongTable, setting: TableSetting): LongSeries {
  const rows = rowsBack(method, setting);
  const last = one.values.slice(-rows);
  const timesMs = timesAfter(one, table, setting);
  const values = timesMs.map((_, step) => last[method.from(step, rows)] as number); // long enough
  return { id: one.id, timesMs, values };
}

/** The rows after the end of every series, on its own scale. */
async function continueSeries(
  forecaster: FittedForecaster,
  series: readonly ScaledSeries[],
  table: LongTable,
  setting: TableSetting,
): Promise<LongSeries[]> {
  const { sizes, signal } = setting;
  const horizon = sizes.predictionLength;
  const out: LongSeries[] = [];
  for (let at = 0; at < series.length; at += batchSize) {
    throwIfAborted(signal);
    const part = series.slice(at, at + batchSize);
    const places = part.map((one) => ({ series: one, start: one.values.length - sizes.contextLength }));
    const windows = cutWindows(places, sizes, forecaster.labelLength, table.cadence);
    const forecast = finite(await forecaster.forecast(windows));
    for (const [i, one] of part.entries()) {
      const own = forecast.subarray(i * horizon, (i + 1) * horizon);
      const values = Array.from(own, (value) => onScale(value, one));
      out.push({ id: one.id, timesMs: timesAfter(one, table, setting), values });
    }
  }
  return out;
}

/** Fits on all rows and gives the horizon after them. @throws NextxError SERIES_TOO_SHORT, TRAIN_NOT_FINITE, ABORTED */
export async function forecastTable(
  method: ForecastMethod,
  table: LongTable,
  setting: TableSetting,
): Promise<LongSeries[]> {
  requireRows(table.series, method, setting);
  const series = table.series.map(withScale);
  using made = await fitted(method, series, table, setting);
  const rows = await made.continue(series);
  await breathe(setting);
  return rows;
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
  /** Of all back-tests, and of the series that change in the rows that were learned from: others have no scale. */
  readonly stepErrors: StepErrors;
}

/**
 * Fits a method once on what precedes all back-tests, then forecasts at `count` ends, one horizon apart, the last of them
 * one horizon before the end. Their errors shall suffice for the quantiles of `levels`.
 * @throws NextxError SERIES_TOO_SHORT, FORECAST_FEW_ERRORS, TRAIN_NOT_FINITE, ABORTED
 */
export async function backtest(
  name: string,
  method: ForecastMethod,
  table: LongTable,
  setting: TableSetting,
  count: number,
  levels: readonly number[] = [],
): Promise<Backtest> {
  const { sizes, season } = setting;
  const horizon = sizes.predictionLength;
  const known = table.series.map((one) => truncated(one, Math.max(0, one.values.length - count * horizon)));
  requireRows(known, method, setting);
  const scales = known.map(withScale);
  requireErrors(levels, scales.filter(changes).length * horizon * count);
  using made = await fitted(method, scales, table, setting);
  const sum = { absolute: 0, squares: 0, symmetric: 0, rows: 0, scaled: 0, scaledSeries: 0 };
  const stepErrors = Array.from({ length: horizon }, (): number[] => []);
  let last: LongSeries[] = [];
  for (let test = count; test >= 1; test--) {
    await breathe(setting);
    const before = table.series.map((one, i) => {
      const { mean, deviation } = scales[i] as ScaledSeries; // one per series
      return { ...truncated(one, one.values.length - test * horizon), mean, deviation };
    });
    last = await made.continue(before);
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
      const scale = scales[i] as ScaledSeries; // the same order
      if (changes(scale))
        for (const [step, value] of forecast.entries())
          stepErrors[step]?.push(((truth[step] as number) - value) / scale.deviation); // same length
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
    method: name,
    last,
    stepErrors,
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

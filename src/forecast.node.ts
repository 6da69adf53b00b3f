/** Forecasting a table of series: what `nextx forecast` and a program with nextx call. */
import { usualSeason } from "./data/series/cadence.ts";
import { type LongSeries, type LongTable, readLongTable } from "./data/series/longTable.ts";
import { changes, withScale } from "./data/series/pool.ts";
import { forecastNumbers, maxUsualContext, requireHorizon } from "./evaluate/forecast/limits.ts";
import { dLinear, nLinear } from "./evaluate/forecast/linearModels.ts";
import {
  type ForecastMethod,
  learnedMethod,
  naiveMethod,
  seasonalNaiveMethod,
} from "./evaluate/forecast/methods.ts";
import { type Quantile, quantilesOf, requireErrors } from "./evaluate/forecast/quantiles.ts";
import { type Backtest, backtest, forecastTable, rowsBack } from "./evaluate/forecast/table.ts";
import type { EpochReport } from "./evaluate/forecast/train.ts";
import { smallTransformer } from "./evaluate/forecast/transformer.ts";
import { suggestion } from "./formats/suggest.ts";
import { validate } from "./formats/validate.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { seriesSystems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/** Ways to forecast, by name: without a model, linear, the vanilla transformer, and the published systems. */
export const forecastMethods: ReadonlyMap<string, ForecastMethod> = new Map<string, ForecastMethod>([
  ["naive", naiveMethod],
  ["seasonal-naive", seasonalNaiveMethod],
  ["dlinear", learnedMethod("dlinear", 5e-3, (shape) => dLinear(shape, shape.channels))],
  ["nlinear", learnedMethod("nlinear", 5e-3, (shape) => nLinear(shape, shape.channels))],
  ["transformer", learnedMethod("transformer", 1e-3, smallTransformer)],
  ...[...seriesSystems].map(
    ([id, system]) =>
      [
        id,
        learnedMethod(id, 1e-3, (shape) => system.trainee(system.smallConfig(shape), shape.channels)),
      ] as const,
  ),
]);

/** What `forecast` may be told. */
export interface ForecastOptions extends DeviceOptions {
  /** A name of `forecastMethods`. */
  readonly method: string;
  /** Rows to forecast. */
  readonly horizon: number;
  /** Rows that learned methods look back on; two seasons or two horizons when absent, as far as the shortest series has them, at most 10,000. */
  readonly context?: number;
  /** Rows of a season; follows from the step between rows when absent. */
  readonly season?: number;
  /** Back-tests, one horizon apart; none when 0. */
  readonly backtests?: number;
  /** Levels between 0 and 1 whose quantiles are wanted: from the errors of the back-tests. */
  readonly quantiles?: readonly number[];
  readonly seed?: number;
  readonly epochs?: number;
  readonly onEpoch?: (method: string, report: EpochReport) => void;
  readonly signal?: AbortSignal;
}

/** Forecasts of a table, and how well back-tests went. */
export interface ForecastResult {
  readonly table: LongTable;
  readonly method: string;
  readonly context: number;
  readonly season: number;
  /** The rows after each series, in the file's order. */
  readonly forecast: readonly LongSeries[];
  /** Of every forecast, in the order asked for. */
  readonly quantiles: readonly (readonly Quantile[])[];
  /** Of the method, of the naive one, and of the seasonal-naive one where every series has a season. */
  readonly backtests: readonly Backtest[];
}

/** The method of a name. @throws NextxError FORECAST_UNKNOWN_METHOD */
function methodOf(name: string): ForecastMethod {
  const method = forecastMethods.get(name);
  if (method) return method;
  throw new NextxError("FORECAST_UNKNOWN_METHOD", `There is no method "${name}".`, {
    path: "method",
    hint: suggestion(name, [...forecastMethods.keys()]),
  });
}

/** Rows of the shortest series before all back-tests. */
const shortestKnown = ({ series }: LongTable, horizon: number, backtests: number): number =>
  series.reduce((least, { values }) => Math.min(least, values.length), Number.POSITIVE_INFINITY) -
  backtests * horizon;

/** Two seasons or two horizons, unless the shortest series is shorter: then what leaves a horizon to learn and one to judge. */
export function usualContext(known: number, horizon: number, season: number): number {
  const spare = known - 2 * horizon >= horizon ? known - 2 * horizon : known - horizon;
  return Math.max(1, Math.min(Math.max(2 * season, 2 * horizon, 8), spare, maxUsualContext));
}

/**
 * Forecasts the text of a long table.
 * @throws NextxError CONFIG_BAD_VALUE, FORECAST_UNKNOWN_METHOD, FORECAST_TOO_LARGE, FORECAST_FEW_ERRORS, CSV_ and SERIES_ codes,
 * TRAIN_NOT_FINITE, ABORTED
 */
export async function forecast(
  text: string,
  path: string,
  options: ForecastOptions,
): Promise<ForecastResult> {
  validate(forecastNumbers, options, "options");
  const { method, horizon, backtests: count = 0, quantiles: levels = [] } = options;
  const { seed = 0, epochs = 10, onEpoch, signal } = options;
  const own = methodOf(method);
  const table = readLongTable(text, path);
  requireHorizon(table, horizon, levels.length);
  const scales = table.series.map(withScale);
  const needed = scales.some(changes) ? levels : []; // what does not change needs no errors
  if (count === 0) requireErrors(needed, 0);
  const season = options.season ?? usualSeason(table.cadence);
  const known = shortestKnown(table, horizon, count);
  const context = options.context ?? usualContext(known, horizon, season);
  const setting = {
    sizes: { contextLength: context, predictionLength: horizon },
    ...{ season, seed, epochs, device: await openDevice(options) },
    ...(onEpoch && { onEpoch: (report: EpochReport) => onEpoch(method, report) }),
    ...(signal && { signal }),
  };
  const backtests: Backtest[] = [];
  const tested = new Map<string, ForecastMethod>([
    [method, own],
    ["naive", naiveMethod],
    // A series without a whole season has no seasonal row to compare with.
    ...(known >= season ? [["seasonal-naive", seasonalNaiveMethod] as const] : []),
  ]);
  if (count > 0)
    for (const [name, other] of tested)
      backtests.push(await backtest(name, other, table, setting, count, needed));
  const rows = await forecastTable(own, table, setting);
  const errors = backtests[0]?.stepErrors ?? []; // the method's own come first
  const quantiles = levels.length > 0 ? quantilesOf(rows, scales, errors, levels) : [];
  return { table, method, context: rowsBack(own, setting), season, forecast: rows, quantiles, backtests };
}

/** Forecasting a table with a forecaster that was trained before: its channels are the table's series. */
import { frequencyOf, rowTime } from "./data/series/cadence.ts";
import { type LongSeries, type LongTable, readLongTable } from "./data/series/longTable.ts";
import { cutWindows, onScale, type ScaledSeries } from "./data/series/pool.ts";
import { finite, trainedForecaster } from "./evaluate/forecast/forecaster.ts";
import { forecastNumbers, requireHorizon } from "./evaluate/forecast/limits.ts";
import type { SeriesDescription } from "./formats/seriesModelFile.ts";
import { validate } from "./formats/validate.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { floats, type Value } from "./runtime/values.ts";
import { readSeriesModel } from "./seriesProgramme.node.ts";
import { seriesSystems, systemIn } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/** What `forecastWithModel` is told. */
export interface ModelForecastOptions extends DeviceOptions {
  /** A forecaster's run folder or file. */
  readonly model: string;
  /** Rows to forecast, at most the model's. */
  readonly horizon: number;
}

/** Forecasts of a table by a trained forecaster. */
export interface ModelForecast {
  readonly table: LongTable;
  readonly system: string;
  readonly context: number;
  /** The rows after each series, in the model's order. */
  readonly forecast: readonly LongSeries[];
}

/** The model's channels among a table's series, on the model's scale. @throws NextxError FORECAST_OTHER_SERIES, SERIES_TOO_SHORT */
function channelsOf({ series }: LongTable, { channels, contextLength }: SeriesDescription): ScaledSeries[] {
  const found = channels.map(({ name, mean, deviation }) => {
    const one = series.find(({ id }) => id === name);
    return one && { ...one, mean, deviation };
  });
  const all = found.filter((one) => one !== undefined);
  const ends = new Set(all.map(({ timesMs }) => timesMs.at(-1)));
  if (all.length < channels.length || series.length > channels.length || ends.size > 1) {
    const names = channels.map(({ name }) => name).join(", ");
    throw new NextxError(
      "FORECAST_OTHER_SERIES",
      "The table has other series than the model, or they end at different times.",
      {
        path: "unique_id",
        hint: `The model knows ${names}.`,
      },
    );
  }
  const short = all.find(({ values }) => values.length < contextLength);
  if (short === undefined) return all;
  throw new NextxError(
    "SERIES_TOO_SHORT",
    `The model looks back on ${contextLength} rows; a series has ${short.values.length}.`,
    {
      path: `series "${short.id}"`,
    },
  );
}

/** [C, I, 1] as [1, I, C]. */
function sideBySide({ data, shape }: Value): Value {
  const [channels = 0, rows = 0] = shape;
  const out = new Float32Array(data.length).map((_, i) =>
    Number(data[(i % channels) * rows + Math.floor(i / channels)]),
  );
  return floats(out, [1, rows, channels]);
}

/** The first of several equal rows of marks. */
const firstOf = ({ data, shape: [, rows = 0, width = 0] }: Value): Value =>
  floats((data as Float32Array).slice(0, rows * width), [1, rows, width]);

/**
 * @throws NextxError CONFIG_BAD_VALUE, FORECAST_TOO_FAR, FORECAST_OTHER_SERIES, FORECAST_OTHER_STEP, FORECAST_TOO_LARGE,
 * FORECAST_NOT_FINITE, MODEL_, CSV_ and SERIES_ codes
 */
export async function forecastWithModel(
  text: string,
  path: string,
  { model, horizon, ...options }: ModelForecastOptions,
): Promise<ModelForecast> {
  validate(forecastNumbers.pick({ horizon: true }), { horizon }, "options");
  const { description, weights } = await readSeriesModel(model);
  const { contextLength, predictionLength, config, frequency, stepMs } = description;
  if (horizon > predictionLength) {
    throw new NextxError("FORECAST_TOO_FAR", `${model} forecasts ${predictionLength} rows.`, {
      path: "horizon",
      hint: `Ask for ${predictionLength} or fewer.`,
    });
  }
  const table = readLongTable(text, path);
  const { kind, size } = table.cadence;
  const isOther = kind === "time" && stepMs !== undefined && size !== stepMs;
  if (isOther || frequencyOf(table.cadence) !== frequency) {
    throw new NextxError(
      "FORECAST_OTHER_STEP",
      "The table's rows are not as far apart as those of the model's data.",
      {
        path: "ds",
      },
    );
  }
  const channels = channelsOf(table, description);
  requireHorizon(table, horizon);
  const system = systemIn(seriesSystems, description.system);
  const trainee = system.trainee(config, channels.length);
  using forecaster = await trainedForecaster(system.id, trainee, weights, await openDevice(options));
  const places = channels.map((series) => ({ series, start: series.values.length - contextLength }));
  const windows = cutWindows(
    places,
    { contextLength, predictionLength },
    forecaster.labelLength,
    table.cadence,
  );
  const values = finite(
    await forecaster.forecast({
      past: sideBySide(windows.past),
      pastMarks: firstOf(windows.pastMarks),
      futureMarks: firstOf(windows.futureMarks),
      future: sideBySide(windows.future),
    }),
  );
  const steps = Array.from({ length: horizon }, (_, step) => step);
  const forecast = channels.map(({ id, timesMs, mean, deviation }, channel) => ({
    id,
    timesMs: steps.map((step) => rowTime(timesMs, table.cadence, timesMs.length + step)),
    values: steps.map((step) =>
      onScale(values[step * channels.length + channel] as number, { mean, deviation }),
    ),
  }));
  return { table, system: system.id, context: contextLength, forecast };
}

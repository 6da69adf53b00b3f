/** Ways to forecast a table of single series: fitted on the known rows, then asked for a horizon. */
import type { Cadence } from "../../data/series/cadence.ts";
import { frequencyOf } from "../../data/series/cadence.ts";
import { poolWindows, type ScaledSeries } from "../../data/series/pool.ts";
import type { WindowSizes } from "../../data/series/types.ts";
import type { SeriesShape } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import type { Device } from "../../runtime/device.ts";
import { type Forecaster, trainedForecaster } from "./forecaster.ts";
import { benchmarkTraining, type EpochReport, type ForecastTraining, trainForecaster } from "./train.ts";

export interface FitContext {
  readonly series: readonly ScaledSeries[];
  readonly sizes: WindowSizes;
  readonly cadence: Cadence;
  readonly season: number;
  readonly device: Device;
  readonly seed: number;
  readonly epochs: number;
  readonly onEpoch?: (report: EpochReport) => void;
  readonly signal?: AbortSignal;
}

/** A method fitted to series. Dispose when done. */
export type FittedForecaster = Forecaster & Disposable;

/** Fits a method. @throws NextxError SERIES_TOO_SHORT, TRAIN_NOT_FINITE, ABORTED */
export type FitMethod = (context: FitContext) => Promise<FittedForecaster>;

/** A method that copies rows of a series: nothing is learned, nothing is rounded. */
export interface CopyMethod {
  /** Rows looked back on; a series needs as many. */
  rows(season: number): number;
  /** Which of the last `rows` a step of the horizon copies, from 0. */
  from(step: number, rows: number): number;
}

export type ForecastMethod = FitMethod | CopyMethod;

/** The last row, again and again. */
export const naiveMethod: CopyMethod = { rows: () => 1, from: () => 0 };
/** The row one season earlier; the last season is repeated. */
export const seasonalNaiveMethod: CopyMethod = {
  rows: (season) => season,
  from: (step, rows) => step % rows,
};

/** Steps between looks at the held-out rows. */
const stepsPerEpoch = 60;

/** A model that learns one function for all series; the last rows of each series, one horizon, choose the best weights. */
export const learnedMethod =
  (name: string, learningRate: number, traineeOf: (shape: SeriesShape) => SeriesTrainee): FitMethod =>
  async ({ series, sizes, cadence, device, seed, epochs, onEpoch, signal }) => {
    const span = sizes.contextLength + sizes.predictionLength;
    const rows = ({ values }: ScaledSeries) => values.length;
    // A series too short to spare a horizon is learned from whole; where all are, what is learned from also chooses.
    const spares = (one: ScaledSeries) => rows(one) - sizes.predictionLength >= span;
    const border = (one: ScaledSeries) => rows(one) - (spares(one) ? sizes.predictionLength : 0);
    const train = poolWindows(series, "train", sizes, cadence, (one) => [0, border(one)]);
    const chosenBy = series.some(spares)
      ? (one: ScaledSeries) => (spares(one) ? border(one) - sizes.contextLength : rows(one))
      : () => 0;
    const validation = poolWindows(series, "validation", sizes, cadence, (one) => [chosenBy(one), rows(one)]);
    const trainee = traineeOf({ ...sizes, channels: 1, frequency: frequencyOf(cadence) });
    const options: ForecastTraining = {
      ...benchmarkTraining,
      ...{ learningRate, epochs, seed, stepsPerEpoch },
      schedule: "cosine",
      batchSize: Math.min(32, train.length),
      validationStride: Math.max(1, Math.floor(validation.length / 256)),
    };
    const { weights } = await trainForecaster(trainee, options, {
      ...{ device, train, validation },
      ...(onEpoch && { onEpoch }),
      ...(signal && { signal }),
    });
    return trainedForecaster(name, trainee, weights, device);
  };

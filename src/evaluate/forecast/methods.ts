/** Ways to forecast a table of single series: fitted on the known rows, then asked for a horizon. */
import type { Cadence } from "../../data/series/cadence.ts";
import { frequencyOf } from "../../data/series/cadence.ts";
import { poolWindows, type ScaledSeries } from "../../data/series/pool.ts";
import type { WindowSizes } from "../../data/series/types.ts";
import type { SeriesShape } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import type { Device } from "../../runtime/device.ts";
import { type Forecaster, trainedForecaster } from "./forecaster.ts";
import { naive, seasonalNaive } from "./naive.ts";
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

const free = (forecaster: Forecaster): FittedForecaster => ({
  ...forecaster,
  [Symbol.dispose]: () => undefined,
});

export const naiveMethod: FitMethod = async () => free(naive);
export const seasonalNaiveMethod: FitMethod = async ({ season }) => free(seasonalNaive(season));

/** Steps between looks at the held-out rows. */
const stepsPerEpoch = 60;

/** A model that learns one function for all series; the last rows of each series, one horizon, choose the best weights. */
export const learnedMethod =
  (name: string, learningRate: number, traineeOf: (shape: SeriesShape) => SeriesTrainee): FitMethod =>
  async ({ series, sizes, cadence, device, seed, epochs, onEpoch, signal }) => {
    const span = sizes.contextLength + sizes.predictionLength;
    const rows = ({ values }: ScaledSeries) => values.length;
    // a series too short to spare a horizon is learned from whole
    const border = (one: ScaledSeries) =>
      rows(one) - sizes.predictionLength >= span ? rows(one) - sizes.predictionLength : rows(one);
    const train = poolWindows(series, "train", sizes, cadence, (one) => [0, border(one)]);
    const validation = poolWindows(series, "validation", sizes, cadence, (one) => [
      Math.max(0, border(one) - sizes.contextLength),
      rows(one),
    ]);
    const trainee = traineeOf({ ...sizes, channels: 1, frequency: frequencyOf(cadence) });
    const options: ForecastTraining = {
      ...benchmarkTraining,
      ...{ learningRate, epochs, seed, stepsPerEpoch },
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

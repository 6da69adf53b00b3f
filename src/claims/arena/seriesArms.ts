/**
 * Arms of the arena of forecasters: every learned model on every benchmark for as long as the budget says, beside the naive
 * forecasts. The budget is time: how many steps fit is measured on this machine first.
 */
import { openWindows } from "../../data/series/windows.ts";
import { median } from "../../evaluate/bench/engine.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { trainedForecaster } from "../../evaluate/forecast/forecaster.ts";
import { dLinear, nLinear } from "../../evaluate/forecast/linearModels.ts";
import { measureForecasts } from "../../evaluate/forecast/measure.ts";
import { benchmarkTraining, trainForecaster } from "../../evaluate/forecast/train.ts";
import { smallTransformer } from "../../evaluate/forecast/transformer.ts";
import { parameterCount } from "../../nn/scope.ts";
import { type SeriesShape, shapeOf } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { seriesSystems, systemIn } from "../../systems/registry.ts";
import { benchmarkName, type ForecastBenchmark, naiveArm } from "../series/forecastArms.ts";

/** A model that learns. */
export interface Forecasting {
  readonly name: string;
  readonly title: string;
  trainee(shape: SeriesShape): SeriesTrainee;
}

const ofSystem = (id: string): Forecasting => {
  const system = systemIn(seriesSystems, id);
  const trainee = (shape: SeriesShape) => system.trainee(system.smallConfig(shape), shape.channels);
  return { name: id, title: system.title, trainee };
};

export const forecasters: readonly Forecasting[] = [
  {
    ...{ name: "dlinear", title: "DLinear" },
    trainee: (shape) => dLinear(shape, shape.channels),
  },
  {
    ...{ name: "nlinear", title: "NLinear" },
    trainee: (shape) => nLinear(shape, shape.channels),
  },
  {
    ...{ name: "transformer", title: "Transformer" },
    trainee: smallTransformer,
  },
  ofSystem("autoformer"),
  ofSystem("spacetime"),
];

export interface SeriesArenaOptions {
  readonly benchmarks: readonly ForecastBenchmark[];
  readonly forecasters: readonly Forecasting[];
  /** Minutes that each model trains on each benchmark. */
  readonly budgetMinutes: number;
  readonly seed: number;
  readonly testStride: number;
}

export const forecastName = (model: string, benchmark: ForecastBenchmark): string =>
  `forecast-${model}-${benchmarkName(benchmark)}`;

/** Looks at the validation split within the budget; the best weights are kept. */
const looks = 5;
const paced = { skipped: 4, counted: 16 } as const;
const timedWindows = 15;

function trainingOf({ seed }: SeriesArenaOptions, stepsPerEpoch: number, epochs: number) {
  const always = { ...benchmarkTraining, learningRate: 1e-3, validationStride: 4, patience: looks };
  return { ...always, seed, stepsPerEpoch, epochs };
}

function forecastArm(
  { device, openSeries, onProgress }: ClaimSetting,
  benchmark: ForecastBenchmark,
  { name: model, trainee: traineeOf }: Forecasting,
  options: SeriesArenaOptions,
): Arm {
  const name = forecastName(model, benchmark);
  const { budgetMinutes, seed, testStride } = options;
  return {
    name,
    definition: { benchmark, model, budgetMinutes, seed, testStride, looks, version: 1 },
    run: async ({ signal }) => {
      const stop = signal && { signal };
      const source = await openSeries(benchmark.set);
      const trainee = traineeOf(shapeOf(source, benchmark));
      const windows = (split: "train" | "validation" | "test") => openWindows(source, split, benchmark);
      const data = { device, train: windows("train"), validation: windows("validation"), ...stop };
      let startMs = 0;
      const first = paced.skipped + paced.counted;
      let [pace, done] = [0, 0];
      await trainForecaster(trainee, trainingOf(options, first, 1), {
        ...data,
        onStep: () => {
          done++;
          if (done === paced.skipped) startMs = performance.now();
          if (done === first) pace = (performance.now() - startMs) / 1000 / paced.counted;
        },
      });
      const perLook = Math.max(1, Math.floor((60 * budgetMinutes) / pace / looks));
      const { weights, epochs } = await trainForecaster(trainee, trainingOf(options, perLook, looks), {
        ...data,
        onStep: ({ step, loss }, steps) =>
          onProgress?.(`${name}: step ${step} of ${steps}, loss ${loss.toFixed(4)}`),
      });
      using forecaster = await trainedForecaster(model, trainee, weights, device);
      const test = windows("test");
      const { mse, mae } = await measureForecasts(forecaster, test, { stride: testStride, ...stop });
      const times: number[] = [];
      for (let i = 0; i < timedWindows; i++) {
        const batch = test.batch([i], forecaster.labelLength);
        const beganMs = performance.now();
        await forecaster.forecast(batch);
        times.push(performance.now() - beganMs);
      }
      return {
        numbers: {
          ...{ mse, mae, windowMs: median(times), steps: perLook * looks },
          secondsPerStep: epochs.reduce((sum, epoch) => sum + epoch.secondsPerStep / epochs.length, 0),
          parameters: parameterCount(trainee.parameters),
          validationMse: epochs.map(({ validationMse }) => validationMse),
        },
      };
    },
  };
}

export const seriesArenaArms = (setting: ClaimSetting, options: SeriesArenaOptions): Arm[] =>
  options.benchmarks.flatMap((benchmark) => [
    naiveArm(setting, benchmark, options),
    ...options.forecasters.map((one) => forecastArm(setting, benchmark, one, options)),
  ]);

/**
 * Arms of forecasting claims: one model on one benchmark task and seed, all trained by the same protocol; errors of the test
 * split are those of the committed float16 weights. The naive forecasts of a task are an arm of their own.
 */
import { openWindows, type SeriesSource } from "../../data/series/windows.ts";
import type { Arm, ArmContext, ArmOutcome } from "../../evaluate/claim/arms.node.ts";
import { type ClaimMeasure, type ClaimSetting, numberOf, type Rows } from "../../evaluate/claim/claim.ts";
import type { Target } from "../../evaluate/claim/target.ts";
import { trainedForecaster } from "../../evaluate/forecast/forecaster.ts";
import { type ForecastErrors, measureForecasts } from "../../evaluate/forecast/measure.ts";
import { naive, seasonalNaive } from "../../evaluate/forecast/naive.ts";
import { type ForecastTraining, trainForecaster } from "../../evaluate/forecast/train.ts";
import { readSafetensors, writeSafetensors } from "../../formats/safetensors.ts";
import { fromValue, toValue } from "../../formats/tensorValue.ts";
import { parameterCount, type Weights } from "../../nn/scope.ts";
import { type SeriesShape, shapeOf } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";

/** One set with the rows looked back on and forecast. */
export interface ForecastBenchmark {
  readonly set: string;
  readonly contextLength: number;
  readonly predictionLength: number;
}

/** A model that takes part: its graphs for windows of a shape, and how it is trained. */
export interface Contestant {
  readonly name: string;
  /** Whatever decides the model besides the shape, as JSON. */
  readonly definition: unknown;
  readonly training: Omit<ForecastTraining, "seed">;
  trainee(shape: SeriesShape): SeriesTrainee;
}

export interface ForecastArmOptions {
  /** Every how many test windows one is measured; 1 takes all. */
  readonly testStride: number;
}

export const benchmarkName = ({ set, predictionLength }: ForecastBenchmark): string =>
  `${set}-${predictionLength}`;
export const forecastArmName = (benchmark: ForecastBenchmark, model: string, seed: number): string =>
  `${model}-${benchmarkName(benchmark)}-${seed}`;
export const naiveArmName = (benchmark: ForecastBenchmark): string => `naive-${benchmarkName(benchmark)}`;

async function testErrors(
  { device }: ClaimSetting,
  trainee: SeriesTrainee,
  bytes: Uint8Array,
  source: SeriesSource,
  benchmark: ForecastBenchmark,
  stride: number,
  signal: AbortSignal | undefined,
): Promise<ForecastErrors> {
  const weights: Weights = new Map(
    [...readSafetensors(bytes).tensors].map(([name, tensor]) => [name, toValue(tensor)]),
  );
  using forecaster = await trainedForecaster("tested", trainee, weights, device);
  return await measureForecasts(forecaster, openWindows(source, "test", benchmark), {
    stride,
    ...(signal && { signal }),
  });
}

const errorNumbers = ({ mse, mae }: ForecastErrors) => ({ mse, mae });

/** One contestant on one benchmark and seed. */
export function forecastArm(
  setting: ClaimSetting,
  benchmark: ForecastBenchmark,
  { name: model, definition, training, trainee }: Contestant,
  seed: number,
  { testStride }: ForecastArmOptions,
): Arm {
  const name = forecastArmName(benchmark, model, seed);
  const measured = async (bytes: Uint8Array, signal: AbortSignal | undefined) => {
    const source = await setting.openSeries(benchmark.set);
    return testErrors(
      setting,
      trainee(shapeOf(source, benchmark)),
      bytes,
      source,
      benchmark,
      testStride,
      signal,
    );
  };
  return {
    name,
    definition: { benchmark, model: definition, training, seed, testStride },
    run: async ({ signal }: ArmContext): Promise<ArmOutcome> => {
      const source = await setting.openSeries(benchmark.set);
      const made = trainee(shapeOf(source, benchmark));
      const { weights, epochs } = await trainForecaster(
        made,
        { ...training, seed },
        {
          device: setting.device,
          train: openWindows(source, "train", benchmark),
          validation: openWindows(source, "validation", benchmark),
          onStep: ({ step, loss }, steps) =>
            setting.onProgress?.(`${name}: step ${step} of ${steps}, loss ${loss.toFixed(4)}`),
          ...(signal && { signal }),
        },
      );
      const bytes = writeSafetensors(
        new Map([...weights].map(([key, value]) => [key, fromValue(value, "F16")])),
      );
      const errors = await measured(bytes, signal);
      return {
        model: bytes,
        numbers: {
          ...errorNumbers(errors),
          mseByStep: [...errors.mseByStep],
          validationMse: epochs.map(({ validationMse }) => validationMse),
          trainLoss: epochs.map(({ trainLoss }) => trainLoss),
          secondsPerStep: Math.min(...epochs.map(({ secondsPerStep }) => secondsPerStep)),
          parameters: parameterCount(made.parameters),
        },
      };
    },
    recompute: async ({ model: bytesOf, signal }) => ({
      numbers: errorNumbers(await measured(await bytesOf(name), signal)),
      tolerance: 1e-3,
    }),
  };
}

/** Both naive forecasts of a benchmark. */
export function naiveArm(
  setting: ClaimSetting,
  benchmark: ForecastBenchmark,
  { testStride }: ForecastArmOptions,
): Arm {
  const numbers = async () => {
    const source = await setting.openSeries(benchmark.set);
    const windows = openWindows(source, "test", benchmark);
    const last = await measureForecasts(naive, windows, { stride: testStride });
    const season = await measureForecasts(seasonalNaive(source.season), windows, { stride: testStride });
    return { naiveMse: last.mse, naiveMae: last.mae, seasonalMse: season.mse, seasonalMae: season.mae };
  };
  return {
    name: naiveArmName(benchmark),
    definition: { benchmark, testStride },
    run: async () => ({ numbers: await numbers() }),
    recompute: async () => ({ numbers: await numbers(), tolerance: 1e-6 }),
  };
}

/** Mean squared error of one model against another, paired by seed, averaged over benchmarks. */
export function errorMeasure(
  benchmarks: readonly ForecastBenchmark[],
  models: { readonly system: string; readonly baseline: string },
  seeds: readonly number[],
  told: { readonly name: string; readonly target: readonly Target[]; readonly headline: boolean },
): ClaimMeasure {
  const arms = (model: string, seed: number) => benchmarks.map((one) => forecastArmName(one, model, seed));
  const read = (rows: Rows, model: string) =>
    seeds.map((seed) =>
      arms(model, seed).reduce((sum, arm) => sum + numberOf(rows, arm, "mse") / benchmarks.length, 0),
    );
  return {
    ...told,
    target: [...told.target],
    unit: "MSE on standardised data",
    better: "lower",
    baselineName: models.baseline,
    arms: [models.system, models.baseline].flatMap((model) => seeds.flatMap((seed) => arms(model, seed))),
    numbers: (rows) => ({ system: read(rows, models.system), baseline: read(rows, models.baseline) }),
  };
}

/** The same against a naive forecast, which has no seed. */
export function naiveMeasure(
  benchmark: ForecastBenchmark,
  system: string,
  seeds: readonly number[],
  kind: "naive" | "seasonal",
): ClaimMeasure {
  const arms = seeds.map((seed) => forecastArmName(benchmark, system, seed));
  return {
    name: `${benchmarkName(benchmark)}: MSE against ${kind}`,
    unit: "MSE on standardised data",
    better: "lower",
    baselineName: kind,
    target: [{ quantity: "relativeChange", over: "mean", atMost: 0 }],
    headline: false,
    arms: [...arms, naiveArmName(benchmark)],
    numbers: (rows) => ({
      system: arms.map((arm) => numberOf(rows, arm, "mse")),
      baseline: arms.map(() => numberOf(rows, naiveArmName(benchmark), `${kind}Mse`)),
    }),
  };
}

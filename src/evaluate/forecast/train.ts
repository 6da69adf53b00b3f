/**
 * Training a forecaster in memory by the protocol of the benchmarks: epochs over all windows, a rate that halves after the
 * second epoch, a look at the validation split after each, the best weights kept, an end when nothing gets better.
 * Source: Autoformer `exp/exp_main.py`, `utils/tools.py` (code).
 */
import type { WindowSet } from "../../data/series/windows.ts";
import { throwIfAborted } from "../../decoding/loop.ts";
import type { Weights } from "../../nn/scope.ts";
import { copyWeights, defaultAdamW } from "../../regimen/adamw.ts";
import { SeriesTask, type SeriesTrainee } from "../../regimen/seriesTask.ts";
import { type StepReport, Trainer } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import { trainedForecaster } from "./forecaster.ts";
import { measureForecasts } from "./measure.ts";

export interface ForecastTraining {
  readonly batchSize: number;
  readonly learningRate: number;
  readonly epochs: number;
  /** Steps between looks at the validation split, where that shall not be one pass over the training windows. */
  readonly stepsPerEpoch?: number;
  /** Epochs without a better validation error after which training ends. */
  readonly patience: number;
  readonly weightDecay: number;
  /** Of the rate: halved after every epoch from the second on when absent, or by a cosine to 0 over all epochs. */
  readonly schedule?: "halving" | "cosine";
  readonly seed: number;
  /** Every how many validation windows one is measured. */
  readonly validationStride: number;
}

/** The benchmarks' own: Adam, 1e-4, batches of 32, at most ten epochs (code). */
export const benchmarkTraining: ForecastTraining = {
  batchSize: 32,
  learningRate: 1e-4,
  epochs: 10,
  patience: 3,
  weightDecay: 0,
  seed: 2021,
  validationStride: 1,
};

/** After an epoch. */
export interface EpochReport {
  readonly epoch: number;
  readonly steps: number;
  readonly trainLoss: number;
  readonly validationMse: number;
  readonly secondsPerStep: number;
}

export interface TrainedForecaster {
  /** Those of the best epoch. */
  readonly weights: Weights;
  readonly epochs: readonly EpochReport[];
}

export interface ForecastTrainingContext {
  readonly device: Device;
  readonly train: WindowSet;
  readonly validation: WindowSet;
  readonly onStep?: (report: StepReport, steps: number) => void;
  readonly onEpoch?: (report: EpochReport) => void;
  readonly signal?: AbortSignal;
}

/** @throws NextxError ABORTED, TRAIN_NOT_FINITE, DATA_BAD_BATCH_SIZE */
export async function trainForecaster(
  trainee: SeriesTrainee,
  options: ForecastTraining,
  context: ForecastTrainingContext,
): Promise<TrainedForecaster> {
  const { device, train, validation, signal } = context;
  const task = new SeriesTask(trainee, train, options.batchSize, options.seed);
  const perEpoch = options.stepsPerEpoch ?? task.batchesPerEpoch;
  const steps = perEpoch * options.epochs;
  const { learningRate: peak, weightDecay, schedule: name = "halving" } = options;
  using trainer = await Trainer.create(
    task,
    {
      schedule: { name, peak, steps, warmup: 0, end: 0, period: perEpoch },
      optimizer: { ...defaultAdamW, beta2: 0.999, clipNorm: 0, weightDecay },
      accumulate: 1,
      emaDecay: 0,
    },
    device,
    RandomStream.from(options.seed, "train/init"),
  );
  const epochs: EpochReport[] = [];
  let best: { mse: number; epoch: number; weights: Weights } | undefined;
  for (let epoch = 1; epoch <= options.epochs; epoch++) {
    let loss = 0;
    const startMs = performance.now();
    for (let step = 0; step < perEpoch; step++) {
      throwIfAborted(signal);
      const report = await trainer.advance();
      loss += report.loss / perEpoch;
      context.onStep?.(report, steps);
    }
    const secondsPerStep = (performance.now() - startMs) / 1000 / perEpoch;
    using forecaster = await trainedForecaster("candidate", trainee, trainer.weights, device);
    const measured = { stride: options.validationStride, ...(signal && { signal }) };
    const { mse } = await measureForecasts(forecaster, validation, measured); // NaN where a loop ran away
    const report = { epoch, steps: perEpoch, trainLoss: loss, validationMse: mse, secondsPerStep };
    epochs.push(report);
    context.onEpoch?.(report);
    if (mse < (best?.mse ?? Number.POSITIVE_INFINITY))
      best = { mse, epoch, weights: copyWeights(trainer.weights) };
    else if (epoch - (best?.epoch ?? 0) >= options.patience) break;
  }
  if (best) return { weights: best.weights, epochs };
  throw new NextxError("TRAIN_NOT_FINITE", "No epoch gave forecasts that are numbers.", {
    hint: "Train with a smaller learning rate.",
  });
}

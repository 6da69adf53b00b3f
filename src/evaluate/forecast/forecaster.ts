/** What is measured: anything that gives horizons for batches of windows. */
import type { SeriesBatch } from "../../data/series/windows.ts";
import type { Weights } from "../../nn/scope.ts";
import { inputsOf, type SeriesTrainee } from "../../regimen/seriesTask.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { NextxError } from "../../tensor/errors.ts";

/** Gives horizons [B, O, C] on the scale of the windows. */
export interface Forecaster {
  readonly name: string;
  /** Rows of the look-back that the decoder's marks begin with. */
  readonly labelLength: number;
  forecast(batch: SeriesBatch): Promise<Float32Array>;
}

/** Forecasts that go to somebody. @throws NextxError FORECAST_NOT_FINITE for a loop that ran away */
export function finite(forecast: Float32Array): Float32Array {
  if (forecast.every(Number.isFinite)) return forecast;
  throw new NextxError("FORECAST_NOT_FINITE", "The model's forecast is no number: its loop runs away.", {
    hint: "Train it longer or otherwise, or ask for a shorter horizon.",
  });
}

/** A trained model. Dispose when done. */
export async function trainedForecaster(
  name: string,
  trainee: SeriesTrainee,
  weights: Weights,
  device: Device,
): Promise<Forecaster & Disposable> {
  const program = await compile(trainee.forecast, { device, weights, prepack: false });
  return {
    name,
    labelLength: trainee.labelLength,
    forecast: async (batch) => {
      const { forecast } = await program.run(inputsOf(trainee.forecast, batch));
      return forecast?.data as Float32Array; // the graph's output
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}

/** Errors of a forecaster over the windows of a split, on standardised data as the benchmarks have it. */
import type { WindowSet } from "../../data/series/windows.ts";
import { throwIfAborted } from "../../decoding/loop.ts";
import { invariant } from "../../tensor/errors.ts";
import type { Forecaster } from "./forecaster.ts";

export interface ForecastErrors {
  /** Plain means over windows, horizon and channels. */
  readonly mse: number;
  readonly mae: number;
  /** Mean squared error of every step of the horizon. */
  readonly mseByStep: readonly number[];
  /** Mean squared error per channel. */
  readonly mseByChannel: readonly number[];
  /** Windows that were measured. */
  readonly windows: number;
}

export interface MeasureOptions {
  readonly batchSize?: number;
  /** Every how many windows one is taken; 1 takes all, as the benchmarks do. */
  readonly stride?: number;
  readonly signal?: AbortSignal;
}

/** @throws NextxError ABORTED and what the forecaster throws */
export async function measureForecasts(
  forecaster: Forecaster,
  windows: WindowSet,
  { batchSize = 64, stride = 1, signal }: MeasureOptions = {},
): Promise<ForecastErrors> {
  const [steps, channels] = [windows.predictionLength, windows.channels.length];
  const taken = Math.ceil(windows.length / stride);
  const squares = new Float64Array(steps * channels);
  let absolute = 0;
  for (let at = 0; at < taken; at += batchSize) {
    throwIfAborted(signal);
    const count = Math.min(batchSize, taken - at);
    const indices = Array.from({ length: count }, (_, i) => (at + i) * stride);
    const batch = windows.batch(indices, forecaster.labelLength);
    const forecast = await forecaster.forecast(batch);
    const truth = batch.future.data;
    invariant(forecast.length === truth.length, "A forecast has the sizes of the horizon.");
    for (let i = 0; i < truth.length; i++) {
      const error = (forecast[i] as number) - (truth[i] as number); // same sizes
      const cell = i % squares.length;
      squares[cell] = (squares[cell] as number) + error * error;
      absolute += Math.abs(error);
    }
  }
  const mean = (cells: readonly number[]) => cells.reduce((a, b) => a + b, 0) / (cells.length * taken);
  const all = [...squares];
  return {
    mse: mean(all),
    mae: absolute / (squares.length * taken),
    mseByStep: Array.from({ length: steps }, (_, s) => mean(all.slice(s * channels, (s + 1) * channels))),
    mseByChannel: Array.from({ length: channels }, (_, c) => mean(all.filter((__, i) => i % channels === c))),
    windows: taken,
  };
}

/**
 * One model, other horizons: errors of a forecaster that was trained for one horizon, rolled out to longer ones without
 * training again, beside models that were trained for each.
 */
import { openWindows, type SeriesSource } from "../../data/series/windows.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { trainedForecaster } from "../../evaluate/forecast/forecaster.ts";
import { measureForecasts } from "../../evaluate/forecast/measure.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { toValue } from "../../formats/tensorValue.ts";
import type { Weights } from "../../nn/scope.ts";
import { spacetimeTrainee } from "../../systems/spacetime/trainee.ts";
import { type ForecastBenchmark, forecastArmName } from "../series/forecastArms.ts";

export const longerName = (benchmark: ForecastBenchmark, seed: number): string =>
  `longer-${forecastArmName(benchmark, "spacetime", seed)}`;

export interface LongerOptions {
  readonly horizons: readonly number[];
  readonly testStride: number;
  /** Configuration of the trained model over the channels of a source. */
  config(source: SeriesSource): unknown;
}

/** `mse` per horizon of the model that the arm of `trained` and `seed` kept. */
export function longerArm(
  setting: ClaimSetting,
  trained: ForecastBenchmark,
  seed: number,
  { horizons, testStride, config }: LongerOptions,
): Arm {
  const from = forecastArmName(trained, "spacetime", seed);
  const measured = async (bytes: Uint8Array, signal: AbortSignal | undefined) => {
    const source = await setting.openSeries(trained.set);
    const weights: Weights = new Map(
      [...readSafetensors(bytes).tensors].map(([name, tensor]) => [name, toValue(tensor)]),
    );
    const mse: number[] = [];
    for (const horizon of horizons) {
      const trainee = spacetimeTrainee(config(source), source.table.channels.length, horizon);
      using forecaster = await trainedForecaster("longer", trainee, weights, setting.device);
      const windows = openWindows(source, "test", { ...trained, predictionLength: horizon });
      const stop = signal && { signal };
      mse.push((await measureForecasts(forecaster, windows, { stride: testStride, ...stop })).mse);
    }
    return { mse };
  };
  return {
    name: longerName(trained, seed),
    definition: { trained, seed, horizons, testStride, version: 1 },
    run: async ({ model, signal }) => ({ numbers: await measured(await model(from), signal) }),
    recompute: async ({ model, signal }) => ({
      numbers: await measured(await model(from), signal),
      tolerance: 1e-3,
    }),
  };
}

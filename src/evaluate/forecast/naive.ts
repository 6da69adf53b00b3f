/** Forecasts without a model: what everything that learns has to beat. */
import type { SeriesBatch } from "../../data/series/windows.ts";
import type { Forecaster } from "./forecaster.ts";

/** Copies, for each row of the horizon, the look-back's row that `from` names. */
function copying(name: string, from: (step: number, contextLength: number) => number): Forecaster {
  return {
    name,
    labelLength: 0,
    forecast: async ({ past, future }: SeriesBatch) => {
      const [batch = 0, length = 0, channels = 0] = past.shape;
      const horizon = future.shape[1] ?? 0;
      const out = new Float32Array(batch * horizon * channels);
      const values = past.data as Float32Array; // windows are float32
      for (let b = 0; b < batch; b++) {
        for (let step = 0; step < horizon; step++) {
          const row = b * length + from(step, length);
          out.set(values.subarray(row * channels, (row + 1) * channels), (b * horizon + step) * channels);
        }
      }
      return out;
    },
  };
}

/** The last row, again and again. */
export const naive: Forecaster = copying("naive", (_, length) => length - 1);

/** The row one season earlier; the last season is repeated. Without a whole season in the look-back, the naive one. */
export const seasonalNaive = (season: number): Forecaster =>
  copying(`seasonal-naive-${season}`, (step, length) =>
    season > length ? length - 1 : length - season + (step % season),
  );

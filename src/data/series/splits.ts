/**
 * The fixed splits of the long-horizon benchmarks, and the scaling that only knows the training rows.
 * Source: Autoformer `data_provider/data_loader.py` (code).
 */
import { NextxError } from "../../tensor/errors.ts";
import type { SeriesTable, SplitBorders } from "./types.ts";

/** 12, 4 and 4 months of 30 days; later rows are not used. */
export function monthBorders(rowsPerDay: number): (rows: number) => SplitBorders {
  const month = 30 * rowsPerDay;
  return () => ({
    train: [0, 12 * month],
    validation: [12 * month, 16 * month],
    test: [16 * month, 20 * month],
  });
}

/** 70 % training and 20 % test, both rounded down; what is between is validation. */
export function shareBorders(rows: number): SplitBorders {
  const train = Math.floor(rows * 0.7);
  const test = Math.floor(rows * 0.2);
  return { train: [0, train], validation: [train, rows - test], test: [rows - test, rows] };
}

/** Mean and deviation per channel, of the training rows. */
export interface Scaling {
  readonly mean: Float64Array;
  /** Population deviation; 1 for a channel that does not change. */
  readonly deviation: Float64Array;
}

/** Spread about its mean that is no more than rounding. */
const roundOff = 1e-12;

/** Deviation of values with this mean and variance; 0 where they are constant up to rounding. */
export function deviationOf(mean: number, variance: number): number {
  const deviation = Math.sqrt(variance);
  return deviation > roundOff * Math.abs(mean) ? deviation : 0;
}

/** @throws NextxError SERIES_TOO_SHORT when there are no training rows */
export function fitScaling({ channels, values }: SeriesTable, [start, end]: SplitBorders["train"]): Scaling {
  const count = channels.length;
  const rows = end - start;
  if (rows < 1 || end * count > values.length)
    throw new NextxError("SERIES_TOO_SHORT", `Training takes rows ${start} to ${end}; there are fewer.`);
  const mean = new Float64Array(count);
  const deviation = new Float64Array(count);
  const each = (visit: (channel: number, value: number) => void) => {
    for (let i = start * count; i < end * count; i++) visit(i % count, values[i] as number); // in range
  };
  each((channel, value) => {
    mean[channel] = (mean[channel] as number) + value / rows; // one per channel
  });
  each((channel, value) => {
    deviation[channel] = (deviation[channel] as number) + (value - (mean[channel] as number)) ** 2 / rows;
  });
  return {
    mean,
    deviation: deviation.map((variance, channel) => deviationOf(mean[channel] ?? 0, variance) || 1),
  };
}

/** Values minus mean, by deviation. */
export function scaled({ channels, values }: SeriesTable, { mean, deviation }: Scaling): Float32Array {
  const count = channels.length;
  return values.map((value, i) => (value - (mean[i % count] as number)) / (deviation[i % count] as number)); // one per channel
}

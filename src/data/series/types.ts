/** Multivariate series as the forecasting harness sees them. Shape letters: L rows, C channels, F marks. */
import type { Split } from "../types.ts";

/** Rows at growing times, all channels together. */
export interface SeriesTable {
  readonly channels: readonly string[];
  /** Milliseconds since 1970, UTC, one per row. */
  readonly timesMs: Float64Array;
  /** L x C, row-major. */
  readonly values: Float32Array;
}

/** Letters of the field for sampling periods: hour, minute, month, year, week, day. */
export type Frequency = "h" | "t" | "m" | "a" | "w" | "d";

/** Row ranges of the splits, ends exclusive. What precedes a split's range may be looked back on. */
export type SplitBorders = Readonly<Record<Split, readonly [start: number, end: number]>>;

/** Sizes of a forecasting task. */
export interface WindowSizes {
  /** Rows looked back on. */
  readonly contextLength: number;
  /** Rows forecast. */
  readonly predictionLength: number;
}

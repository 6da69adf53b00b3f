/**
 * Every window of a split: so many rows to look back on, so many to forecast, at every start.
 * Shape letters: B windows, I look-back rows, O horizon rows, J label and horizon rows, C channels, F marks.
 */
import type { Value } from "../../runtime/values.ts";
import { floats } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Split } from "../types.ts";
import { markCount, timeMarks } from "./marks.ts";
import { fitScaling, type Scaling, scaled } from "./splits.ts";
import type { Frequency, SeriesTable, SplitBorders, WindowSizes } from "./types.ts";

/** A benchmark table with its splits. */
export interface SeriesSource {
  readonly id: string;
  /** Hash of the content. */
  readonly version: string;
  readonly table: SeriesTable;
  readonly frequency: Frequency;
  readonly borders: SplitBorders;
  /** Rows after which the series repeats itself, for seasonal baselines. */
  readonly season: number;
}

/** Windows side by side. */
export interface SeriesBatch {
  /** [B, I, C] */
  readonly past: Value;
  /** [B, I, F] */
  readonly pastMarks: Value;
  /** [B, J, F] */
  readonly futureMarks: Value;
  /** [B, O, C] */
  readonly future: Value;
}

/** Windows by number, wherever they are cut from. */
export interface WindowSet extends WindowSizes {
  readonly id: string;
  readonly split: Split;
  readonly version: string;
  /** Number of windows. */
  readonly length: number;
  readonly channels: readonly string[];
  /** Windows by number, standardised. `labelLength` rows of the look-back precede the horizon in the decoder's marks. */
  batch(indices: ArrayLike<number>, labelLength: number): SeriesBatch;
}

/** Windows of one split of a benchmark. */
export interface SeriesWindows extends WindowSet {
  readonly frequency: Frequency;
  readonly season: number;
  readonly scaling: Scaling;
}

/** @throws NextxError SERIES_TOO_SHORT when no window fits */
export function openWindows(source: SeriesSource, split: Split, sizes: WindowSizes): SeriesWindows {
  const { table, frequency, borders, id, version, season } = source;
  const { contextLength: past, predictionLength: horizon } = sizes;
  const scaling = fitScaling(table, borders.train);
  const values = scaled(table, scaling);
  const marks = timeMarks(table.timesMs, frequency);
  const [start, end] = borders[split];
  const first = split === "train" ? start : start - past; // the first horizon begins at the border
  const length = end - first - past - horizon + 1;
  if (first < 0 || length < 1 || end > table.timesMs.length) {
    throw new NextxError(
      "SERIES_TOO_SHORT",
      `${id} (${split}) has no window of ${past} + ${horizon} rows: the split has ${end - start}.`,
      { path: "contextLength", hint: "Choose a shorter context or horizon." },
    );
  }
  const cut = (
    from: Float32Array,
    width: number,
    rowsFrom: number,
    rows: number,
    indices: ArrayLike<number>,
  ) => {
    const out = new Float32Array(indices.length * rows * width);
    for (let b = 0; b < indices.length; b++) {
      const row = first + (indices[b] as number) + rowsFrom; // in range
      out.set(from.subarray(row * width, (row + rows) * width), b * rows * width);
    }
    return floats(out, [indices.length, rows, width]);
  };
  const [channels, features] = [table.channels.length, markCount(frequency)];
  return {
    ...sizes,
    ...{ id, split, version, length, frequency, season, scaling },
    channels: table.channels,
    batch: (indices, labelLength) => ({
      past: cut(values, channels, 0, past, indices),
      pastMarks: cut(marks, features, 0, past, indices),
      futureMarks: cut(marks, features, past - labelLength, labelLength + horizon, indices),
      future: cut(values, channels, past, horizon, indices),
    }),
  };
}

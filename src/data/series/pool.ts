/**
 * Windows of many single series, each on its own scale: what one model for all of them is trained on, and what it
 * forecasts from. Shape letters: B windows, I look-back, O horizon, J label and horizon, F marks; one channel.
 */
import { floats } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { Fnv64 } from "../hash.ts";
import type { Split } from "../types.ts";
import { type Cadence, frequencyOf, rowTime } from "./cadence.ts";
import type { LongSeries } from "./longTable.ts";
import { markCount, timeMarks } from "./marks.ts";
import { deviationOf } from "./splits.ts";
import type { WindowSizes } from "./types.ts";
import type { SeriesBatch, WindowSet } from "./windows.ts";

/** A series with its scale, from its first `known` rows. */
export interface ScaledSeries extends LongSeries {
  readonly mean: number;
  /** 0 for a series that does not change. */
  readonly deviation: number;
}

/** Whether a series has a scale to learn on. */
export const changes = ({ deviation }: Pick<ScaledSeries, "deviation">): boolean => deviation > 0;

/** Mean and deviation of all values. */
export function withScale(series: LongSeries): ScaledSeries {
  const { values } = series;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1; // squares of small ones would be 0
  const variance =
    values.reduce((total, value) => total + ((value - mean) / largest) ** 2, 0) / values.length;
  return { ...series, mean, deviation: deviationOf(mean / largest, variance) * largest };
}

/** A number with as many digits as float32 leaves on a scale. */
export function withDigitsOf(value: number, deviation: number): number {
  const decimals = 7 - Math.floor(Math.log10(deviation)); // infinite without a scale
  return decimals < 0 || decimals > 100 ? value : Number(value.toFixed(decimals));
}

/** A standardised number on the scale of its series. */
export const onScale = (
  value: number,
  { mean, deviation }: Pick<ScaledSeries, "mean" | "deviation">,
): number => withDigitsOf(value * deviation + mean, deviation);

/** The windows of `sizes` that begin at these rows of these series; what lies beyond a series' end is zero. */
export function cutWindows(
  places: readonly { readonly series: ScaledSeries; readonly start: number }[],
  { contextLength, predictionLength }: WindowSizes,
  labelLength: number,
  cadence: Cadence,
): SeriesBatch {
  const frequency = frequencyOf(cadence);
  const count = places.length;
  const rows = (from: number, length: number) =>
    floats(
      Float32Array.from({ length: count * length }, (_, i) => {
        const { series, start } = places[Math.floor(i / length)] as (typeof places)[number]; // in range
        const value = series.values[start + from + (i % length)];
        return value === undefined ? 0 : (value - series.mean) / series.deviation;
      }),
      [count, length, 1],
    );
  const marks = (from: number, length: number) => {
    const times = places.flatMap(({ series, start }) =>
      Array.from({ length }, (_, i) => rowTime(series.timesMs, cadence, start + from + i)),
    );
    return floats(timeMarks(times, frequency), [count, length, markCount(frequency)]);
  };
  return {
    past: rows(0, contextLength),
    pastMarks: marks(0, contextLength),
    futureMarks: marks(contextLength - labelLength, labelLength + predictionLength),
    future: rows(contextLength, predictionLength),
  };
}

/** Every window of the rows that `range` names of each series. @throws NextxError SERIES_TOO_SHORT when there is none */
export function poolWindows(
  series: readonly ScaledSeries[],
  split: Split,
  sizes: WindowSizes,
  cadence: Cadence,
  range: (series: ScaledSeries) => readonly [start: number, end: number],
): WindowSet {
  const span = sizes.contextLength + sizes.predictionLength;
  const places = series.flatMap((one) => {
    const [start, end] = range(one);
    return Array.from({ length: Math.max(0, end - start - span + 1) }, (_, i) => ({
      series: one,
      start: start + i,
    }));
  });
  if (places.length === 0) {
    throw new NextxError("SERIES_TOO_SHORT", `No series has ${span} rows to learn from.`, {
      path: "contextLength",
      hint: "Choose a shorter context or horizon, fewer back-tests, or a naive method.",
    });
  }
  const hash = new Fnv64();
  for (const { id, values } of series) hash.update(`${id}\n${values.join()}\n`);
  return {
    ...sizes,
    ...{ id: "table", split, version: hash.digest(), length: places.length, channels: ["y"] },
    batch: (indices, labelLength) => {
      const chosen = Array.from(indices, (i) => places[i] as (typeof places)[number]); // in range
      return cutWindows(chosen, sizes, labelLength, cadence);
    },
  };
}

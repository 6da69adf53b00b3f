/**
 * A procedural multivariate series: daily and weekly swings, a trend that bends, noise with memory; channels share what
 * swings and differ in size and phase. Everything follows from the seed.
 */
import { RandomStream } from "../../tensor/random.ts";
import type { SeriesTable } from "./types.ts";

export interface SyntheticOptions {
  readonly rows: number;
  readonly channels: number;
  readonly seed: number;
  /** Rows of one period each. */
  readonly periods: readonly number[];
  /** How much of the noise is kept from one row to the next. */
  readonly memory: number;
  /** Deviation of what is new in a row. */
  readonly noise: number;
}

/** Hourly rows from 2020-01-01. */
export const syntheticDefaults: SyntheticOptions = {
  rows: 10_000,
  channels: 7,
  seed: 0,
  periods: [24, 168],
  memory: 0.9,
  noise: 0.15,
};

/** Heights of a line that bends every `span` rows. */
function bendingLine(stream: RandomStream, rows: number, span: number): Float64Array {
  const line = new Float64Array(rows);
  let [height, slope] = [0, 0];
  for (let row = 0; row < rows; row++) {
    if (row % span === 0) slope = (stream.normal() * 1.2) / span - height / (4 * span); // pulled back to zero
    height += slope;
    line[row] = height;
  }
  return line;
}

export function syntheticSeries(options: Partial<SyntheticOptions> = {}): SeriesTable {
  const { rows, channels, seed, periods, memory, noise } = { ...syntheticDefaults, ...options };
  const names = Array.from({ length: channels }, (_, i) => `s${i}`);
  const values = new Float32Array(rows * channels);
  for (let channel = 0; channel < channels; channel++) {
    const stream = RandomStream.from(seed, `data/series/${channel}`);
    const waves = periods.map((period) => ({
      step: (2 * Math.PI) / period,
      size: 0.5 + stream.uniform(),
      phase: 0.6 * stream.normal(),
    }));
    const trend = bendingLine(stream.fork("trend"), rows, 1_000);
    let rest = 0;
    for (let row = 0; row < rows; row++) {
      rest = memory * rest + noise * stream.normal();
      const swing = waves.reduce(
        (sum, { step, size, phase }) => sum + size * Math.sin(step * row + phase),
        0,
      );
      values[row * channels + channel] = swing + (trend[row] as number) + rest; // one per row
    }
  }
  const start = Date.UTC(2020, 0, 1);
  return {
    channels: names,
    timesMs: Float64Array.from({ length: rows }, (_, i) => start + i * 3_600_000),
    values,
  };
}

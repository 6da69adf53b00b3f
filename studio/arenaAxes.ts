/** What the arena's plot can show: numbers of an entry with their names, and ticks for them. */
import type { ImageArena, SeriesArena } from "../src/server/arenaProtocol.ts";

export type ImageEntry = ImageArena["entries"][number];
export type SeriesEntry = SeriesArena["entries"][number];

/** A number of an entry. */
export interface Axis<E> {
  readonly id: string;
  readonly title: string;
  /** How it is written. */
  readonly unit: string;
  readonly isLog: boolean;
  /** Null where an entry has none. */
  value(entry: E): number | null;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

export const imageCosts: readonly Axis<ImageEntry>[] = [
  { id: "one", title: "Time of 1 picture", unit: "ms", isLog: true, value: ({ oneMs }) => oneMs },
  { id: "eight", title: "Time of 8 pictures", unit: "ms", isLog: true, value: ({ eightMs }) => eightMs },
  {
    ...{ id: "runs", title: "Calls of the runtime per picture", unit: "", isLog: true },
    value: ({ programRuns }) => programRuns,
  },
  {
    ...{ id: "memory", title: "Peak memory of 8 pictures", unit: "MiB", isLog: false },
    value: ({ peakBytes }) => peakBytes / 2 ** 20,
  },
  {
    ...{ id: "steps", title: "Training steps in the budget", unit: "", isLog: true },
    value: ({ steps }) => sum(steps),
  },
  {
    ...{ id: "parameters", title: "Parameters", unit: "M", isLog: false },
    value: ({ parameters }) => parameters / 1e6,
  },
];

/** Distances under each network, then what else tells quality. */
export function imageQualities({ entries }: ImageArena): readonly Axis<ImageEntry>[] {
  const networks = entries[0]?.distances.map(({ network }) => network) ?? [];
  return [
    ...networks.map((network, i) => ({
      ...{ id: `distance${i}`, title: `Fréchet distance, ${network}`, unit: "", isLog: true },
      value: ({ distances }: ImageEntry) => distances[i]?.distance ?? null,
    })),
    {
      ...{ id: "accuracy", title: "Samples of the right class", unit: "%", isLog: false },
      value: ({ accuracy }) => (accuracy === null ? null : 100 * accuracy),
    },
    {
      ...{ id: "validity", title: "Samples that keep the rules", unit: "%", isLog: false },
      value: ({ validity }) => (validity === null ? null : 100 * validity),
    },
  ];
}

export const seriesCosts: readonly Axis<SeriesEntry>[] = [
  {
    id: "window",
    title: "Time of a forecast",
    unit: "ms",
    isLog: true,
    value: ({ windowMs }) => windowMs || null,
  },
  {
    id: "steps",
    title: "Training steps in the budget",
    unit: "steps",
    isLog: true,
    value: ({ steps }) => steps || null,
  },
  {
    id: "parameters",
    title: "Parameters",
    unit: "",
    isLog: true,
    value: ({ parameters }) => parameters || null,
  },
];

export const seriesQualities: readonly Axis<SeriesEntry>[] = [
  { id: "mse", title: "Mean squared error", unit: "", isLog: false, value: ({ mse }) => mse },
  { id: "mae", title: "Mean absolute error", unit: "", isLog: false, value: ({ mae }) => mae },
];

/** Places on a scale from 0 to 1 with some air at both ends, and round numbers to mark. */
export interface Scale {
  place(value: number): number;
  readonly ticks: readonly number[];
}

/** 1, 2 and 5 times powers of ten between two numbers. */
function roundNumbers(low: number, high: number): number[] {
  const found: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const factor of [1, 2, 5]) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) found.push(value);
    }
  return found;
}

/** About five round numbers between two, at equal steps. */
function evenNumbers(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.max(0, Math.floor(high / step) - first + 1) }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

/** A scale over values; logarithmic where it is asked for and all are above 0. */
export function scaleOf(values: readonly number[], isLog: boolean): Scale {
  const log = isLog && values.every((value) => value > 0);
  const map = log ? Math.log : (value: number) => value;
  const mapped = values.map(map);
  const [least, most] = [Math.min(...mapped), Math.max(...mapped)];
  const air = (most - least || Math.abs(most) || 1) * 0.12;
  const [low, high] = [least - air, most + air];
  const place = (value: number) => (map(value) - low) / (high - low);
  const ends = log ? ([Math.exp(low), Math.exp(high)] as const) : ([low, high] as const);
  const round = log ? roundNumbers(...ends) : [];
  return { place, ticks: round.length > 2 ? round : evenNumbers(...ends) };
}

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
  /** Which end is good. */
  readonly better: "lower" | "higher";
  /** Null where an entry has none. */
  value(entry: E): number | null;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** One line of the tables below. */
const axis = <E>(
  id: string,
  title: string,
  unit: string,
  scale: "log" | "linear",
  better: "lower" | "higher",
  value: (entry: E) => number | null,
): Axis<E> => ({ id, title, unit, isLog: scale === "log", better, value });

export const imageCosts: readonly Axis<ImageEntry>[] = [
  axis("one", "Time of 1 picture", "ms", "log", "lower", ({ oneMs }) => oneMs),
  axis("eight", "Time of 8 pictures", "ms", "log", "lower", ({ eightMs }) => eightMs),
  axis("runs", "Calls of the runtime per picture", "", "log", "lower", ({ programRuns }) => programRuns),
  axis(
    "memory",
    "Peak memory of 8 pictures",
    "MiB",
    "linear",
    "lower",
    ({ peakBytes }) => peakBytes / 2 ** 20,
  ),
  axis("steps", "Training steps in the budget", "", "log", "higher", ({ steps }) => sum(steps)),
  axis("parameters", "Parameters", "M", "linear", "lower", ({ parameters }) => parameters / 1e6),
];

const percent = (share: number | null): number | null => (share === null ? null : 100 * share);

/** Distances under each network, then what else tells quality. */
export function imageQualities({ entries }: ImageArena): readonly Axis<ImageEntry>[] {
  const networks = entries[0]?.distances.map(({ network }) => network) ?? [];
  return [
    ...networks.map((network, i) =>
      axis<ImageEntry>(
        `distance${i}`,
        `Fréchet distance, ${network}`,
        "",
        "log",
        "lower",
        ({ distances }) => distances[i]?.distance ?? null,
      ),
    ),
    axis("accuracy", "Samples of the right class", "%", "linear", "higher", ({ accuracy }) =>
      percent(accuracy),
    ),
    axis("validity", "Samples that keep the rules", "%", "linear", "higher", ({ validity }) =>
      percent(validity),
    ),
  ];
}

export const seriesCosts: readonly Axis<SeriesEntry>[] = [
  axis("window", "Time of a forecast", "ms", "log", "lower", ({ windowMs }) => windowMs),
  axis("steps", "Training steps in the budget", "steps", "log", "higher", ({ steps }) => steps),
  axis("parameters", "Parameters", "", "log", "lower", ({ parameters }) => parameters),
];

export const seriesQualities: readonly Axis<SeriesEntry>[] = [
  axis("mse", "Mean squared error", "", "linear", "lower", ({ mse }) => mse),
  axis("mae", "Mean absolute error", "", "linear", "lower", ({ mae }) => mae),
];

/** An axis with its unit. */
export const titleOf = <E>({ title, unit }: Axis<E>): string => (unit === "" ? title : `${title} (${unit})`);

/** An entry in the plot; `index` tells its colour. */
export interface Placed<E> {
  readonly entry: E;
  readonly index: number;
  readonly a: number;
  readonly b: number;
}

/** Entries as points; those that cost nothing where costs are logarithmic are levels, lines across the plot. */
export function placed<E>(
  entries: readonly E[],
  x: Axis<E>,
  y: Axis<E>,
): { readonly points: readonly Placed<E>[]; readonly levels: readonly Placed<E>[] } {
  const all = entries.flatMap((entry, index): Placed<E>[] => {
    const [a, b] = [x.value(entry), y.value(entry)];
    return a === null || b === null ? [] : [{ entry, index, a, b }];
  });
  const isLevel = ({ a }: Placed<E>) => x.isLog && a <= 0;
  return { points: all.filter((one) => !isLevel(one)), levels: all.filter(isLevel) };
}

/** Where a label of about `length` pixels stands beside a point at `x`: right of it, left of it, or above it where neither fits. */
export function labelAt(
  x: number,
  length: number,
  width: number,
): { readonly x: number; readonly above: boolean; readonly anchor: "start" | "end" } {
  const gap = 11;
  if (x + gap + length <= width) return { x: x + gap, above: false, anchor: "start" };
  if (x - gap - length >= 0) return { x: x - gap, above: false, anchor: "end" };
  return { x: Math.max(0, Math.min(x, width - length)), above: true, anchor: "start" };
}

/** What the address says of the page: a contest, a benchmark of series, an entry. Empty where nothing is said. */
export interface ArenaPlace {
  readonly kind: "image" | "series";
  readonly benchmark: string;
  readonly name: string;
}

/** `NAME` is an entry of the pictures, `series:BENCHMARK:NAME` one of the series. */
export function readPlace(rest: string): ArenaPlace {
  const [kind = "", benchmark = "", name = ""] = rest.split(":");
  if (kind === "series") return { kind, benchmark, name };
  return { kind: "image", benchmark: "", name: rest };
}

export const placeText = ({ kind, benchmark, name }: ArenaPlace): string =>
  kind === "image" ? name : `series:${benchmark}:${name}`;

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
  if (values.length === 0) return { place: () => 0.5, ticks: [] };
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

/** Values of a recipe by their names, as flags of `nextx train` have them: `transformer.depth`. */
export function recipeLines(recipe: Readonly<Record<string, unknown>>, before = ""): [string, string][] {
  return Object.entries(recipe).flatMap(([key, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? recipeLines(value as Record<string, unknown>, `${before}${key}.`) // an object
      : [[before + key, Array.isArray(value) ? value.join(", ") : String(value)] as [string, string]],
  );
}

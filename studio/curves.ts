/** Curves of logged rows: which there are, smoothing of the raw values, and several on one axis. */
import type { MetricsRow } from "./runsApi.ts";

/** One line: steps and values; null where a value was not finite, or where another line has a step and this one has none. */
export interface Line {
  readonly name: string;
  readonly steps: readonly number[];
  readonly values: readonly (number | null)[];
}

/** A metric with one line, or one per scale. */
export interface Metric {
  readonly name: string;
  readonly title: string;
  readonly lines: readonly Line[];
}

const titles: Readonly<Record<string, string>> = {
  l1: "L1 distance",
  l2: "L2 distance",
  vqLoss: "VQ loss",
  scaleLoss: "Loss per scale",
  scaleAccuracy: "Accuracy per scale",
  codebookUsage: "Codebook usage per scale",
  codebookPerplexity: "Codebook perplexity per scale",
  deadCodes: "Codes no scale uses",
  psnr: "PSNR (dB)",
};

/** Metrics that come first, in this order; the others follow by name. */
const first = [
  "loss",
  "accuracy",
  "scaleLoss",
  "scaleAccuracy",
  "codebookUsage",
  "codebookPerplexity",
  "deadCodes",
];
const last = ["gradientNorm", "learningRate"];

const rank = (name: string): number =>
  first.includes(name) ? first.indexOf(name) : last.includes(name) ? 1000 + last.indexOf(name) : 100;

export function titleOf(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
  return titles[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

const numberOf = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

/** Every metric of the rows; lists of numbers become one line per place. */
export function metricsOf(rows: readonly MetricsRow[]): Metric[] {
  const widths = new Map<string, number>();
  for (const row of rows)
    for (const [name, value] of Object.entries(row)) {
      if (name === "step") continue;
      const width = Array.isArray(value) ? value.length : 0;
      if (width > 0 || typeof value === "number" || value === null)
        widths.set(name, Math.max(widths.get(name) ?? 0, width));
    }
  return [...widths]
    .map(([name, width]) => ({ name, title: titleOf(name), lines: linesOf(rows, name, width) }))
    .sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));
}

function linesOf(rows: readonly MetricsRow[], name: string, width: number): Line[] {
  const own = rows.filter((row) => Object.hasOwn(row, name));
  const steps = own.map(({ step }) => step);
  if (width === 0) return [{ name: titleOf(name), steps, values: own.map((row) => numberOf(row[name])) }];
  return Array.from({ length: width }, (_, i) => ({
    name: `scale ${i + 1}`,
    steps,
    values: own.map((row) => numberOf((row[name] as readonly unknown[] | null)?.[i])), // a list, from its width
  }));
}

/** Metrics with one line per run: of lists per scale, their mean. */
export function metricsOfRuns(rows: ReadonlyMap<string, readonly MetricsRow[]>): Metric[] {
  const found = new Map<string, Metric>();
  for (const [id, own] of rows) {
    for (const { name, title, lines } of metricsOf(own)) {
      const [first] = lines;
      if (first === undefined) continue;
      const mean = first.values.map((_, i) => meanOf(lines.map(({ values }) => values[i] ?? null)));
      const line = { name: id, steps: first.steps, values: lines.length === 1 ? first.values : mean };
      const suffix = lines.length > 1 ? ", mean over scales" : "";
      const before = found.get(name) ?? { name, title: title.replace(" per scale", "") + suffix, lines: [] };
      found.set(name, { ...before, lines: [...before.lines, line] });
    }
  }
  return [...found.values()];
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length < values.length ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/**
 * Exponential mean of the raw values: `weight` 0 leaves them, towards 1 it looks back further. The start is not pulled
 * towards 0; what was not finite stays a gap and counts for nothing.
 */
export function smoothed(values: readonly (number | null)[], weight: number): (number | null)[] {
  let [sum, total] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

/** Lines on one axis: all their steps in order, each line with null where it has none of its own. */
export function onOneAxis(lines: readonly Line[]): {
  steps: number[];
  values: (number | null | undefined)[][];
} {
  const steps = [...new Set(lines.flatMap((line) => line.steps))].sort((a, b) => a - b);
  const place = new Map(steps.map((step, i) => [step, i]));
  const values = lines.map((line) => {
    const all = Array<number | null | undefined>(steps.length).fill(undefined); // undefined: no gap is drawn
    for (const [i, step] of line.steps.entries()) all[place.get(step) as number] = line.values[i] ?? null; // is one of them
    return all;
  });
  return { steps, values };
}

/** Measured dynamics as titled lines over scales: what the terminal table and the page both show. */
import type { DynamicsReport, PastReport } from "./measure.ts";
import type { PerScale } from "./scaleMeans.ts";

/** Values of one quantity at the scales of a report's schedule, and over everything. */
export interface LineValues {
  readonly scales: readonly number[];
  readonly overall: number;
  /** Absent where there is no spread over pictures. */
  readonly standardErrors?: readonly number[];
}

export interface Line {
  readonly title: string;
  /** Digits after the point. */
  readonly digits: number;
  values(report: DynamicsReport): LineValues;
}

export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
}

const percent = ({ scales, overall, standardErrors }: PerScale): LineValues => ({
  scales: scales.map((value) => 100 * value),
  overall: 100 * overall,
  standardErrors: standardErrors.map((value) => 100 * value),
});

/** Lines of one kind of past; on the true past agreement and divergence say nothing. */
function pastLines(past: (report: DynamicsReport) => PastReport, isTruth = false): Line[] {
  const own: Line[] = [
    { title: "agreement, %", digits: 1, values: (report) => percent(past(report).agreement) },
    { title: "KL(true past || own), nats", digits: 3, values: (report) => past(report).divergence },
  ];
  return [
    { title: "loss, nats per token", digits: 3, values: (report) => past(report).loss },
    { title: "accuracy, %", digits: 1, values: (report) => percent(past(report).accuracy) },
    ...(isTruth ? [] : own),
  ];
}

export const sections: readonly Section[] = [
  {
    title: "Difficulty",
    lines: [
      {
        title: "bits per picture",
        digits: 1,
        values: ({ difficulty: { bits, totalBits } }) => ({ scales: bits, overall: totalBits }),
      },
      {
        title: "share of bits, %",
        digits: 1,
        values: ({ difficulty: { share } }) => ({ scales: share.map((value) => 100 * value), overall: 100 }),
      },
      {
        title: "share of tokens, %",
        digits: 1,
        values: ({ difficulty: { tokenShare } }) => ({
          scales: tokenShare.map((value) => 100 * value),
          overall: 100,
        }),
      },
    ],
  },
  { title: "True past (teacher forcing)", lines: pastLines(({ truePast }) => truePast, true) },
  { title: "One step on its own past", lines: pastLines(({ oneStep }) => oneStep) },
  { title: "Free running on its own past", lines: pastLines(({ freeRunning }) => freeRunning) },
];

/** What changes at every scale when one scale is corrupted. */
export interface Damage {
  readonly title: string;
  readonly digits: number;
  /** Row s: scale s corrupted. */
  rows(report: DynamicsReport): readonly LineValues[];
}

const difference = (a: PerScale, b: PerScale, factor = 1): LineValues => ({
  scales: a.scales.map((value, s) => factor * (value - (b.scales[s] as number))), // same schedule
  overall: factor * (a.overall - b.overall),
});

export const damages: readonly Damage[] = [
  {
    title: "KL(true past || corrupted), nats",
    digits: 3,
    rows: ({ corrupted }) => corrupted.map(({ divergence }) => divergence),
  },
  {
    title: "rise of the loss, nats per token",
    digits: 3,
    rows: ({ corrupted, truePast }) => corrupted.map(({ loss }) => difference(loss, truePast.loss)),
  },
  {
    title: "change of the accuracy, points",
    digits: 1,
    rows: ({ corrupted, truePast }) =>
      corrupted.map(({ accuracy }) => difference(accuracy, truePast.accuracy, 100)),
  },
];

/** Sides of all reports, growing. */
export function allSides(reports: readonly DynamicsReport[]): number[] {
  return [...new Set(reports.flatMap(({ sides }) => sides))].sort((a, b) => a - b);
}

/** One name per report; a hash where names repeat. */
export function modelNames(reports: readonly DynamicsReport[]): string[] {
  const isRepeated = (name: string) => reports.filter(({ model }) => model.name === name).length > 1;
  return reports.map(({ model: { name, sha256 } }) =>
    isRepeated(name) ? `${name} ${sha256.slice(0, 8)}` : name,
  );
}

/** A value at a side, as text; a dash where the schedule lacks it. */
export function valueText(
  values: LineValues,
  sides: readonly number[],
  side: number,
  digits: number,
): string {
  const value = values.scales[sides.indexOf(side)];
  return value === undefined ? "\u2013" : fixed(value, digits);
}

/** Fixed digits without a negative zero. */
export function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text;
}

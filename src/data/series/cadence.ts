/**
 * The step from one row of a series to the next: a fixed time, a number, or calendar months. Found from the rows, which
 * must keep it throughout.
 */
import { NextxError } from "../../tensor/errors.ts";
import type { TimestampForm } from "./timestamp.ts";
import type { Frequency } from "./types.ts";

export interface Cadence {
  /** `time` in milliseconds, `count` in plain numbers, `months` on the same day or on the last day of each. */
  readonly kind: "time" | "count" | "months" | "monthEnds";
  readonly size: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const monthOf = (ms: number): number => new Date(ms).getUTCFullYear() * 12 + new Date(ms).getUTCMonth();
const isMonthEnd = (ms: number): boolean => new Date(ms + dayMs).getUTCDate() === 1;
/** Also before 1970, where remainders are negative. */
const timeOfDay = (ms: number): number => ((ms % dayMs) + dayMs) % dayMs;
const dayOfMonth = (ms: number): number => new Date(ms).getUTCDate();
const isWeekend = (ms: number): boolean => [0, 6].includes(new Date(ms).getUTCDay());
/** Days of the month of a time. */
const daysIn = (ms: number): number => dayOfMonth(Date.UTC(0, monthOf(ms) + 1, 0));
/** The last moment that tables can write. */
const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Ends of months, and one day of the month, where all rows keep them. */
function monthly(times: ArrayLike<number>): Cadence[] {
  const all = Array.from(times);
  const size = monthOf(all[1] as number) - monthOf(all[0] as number); // callers have two rows
  const isEven = all.every((ms, i) => i === 0 || monthOf(ms) - monthOf(all[i - 1] as number) === size);
  const isOf = (part: (ms: number) => number) => all.every((ms) => part(ms) === part(all[0] as number));
  if (size < 1 || !isEven || !isOf(timeOfDay)) return [];
  const day = all.reduce((latest, ms) => Math.max(latest, dayOfMonth(ms)), 1);
  // A month that lacks the day has its last one.
  const isOneDay = all.every((ms) => dayOfMonth(ms) === Math.min(day, daysIn(ms)));
  return [
    ...(all.every(isMonthEnd) ? [{ kind: "monthEnds", size } as const] : []),
    ...(isOneDay ? [{ kind: "months", size } as const] : []),
  ];
}

/**
 * The cadences that one series keeps, the likeliest first; a short one may keep several. `at(row)` says where a row stands.
 * @throws NextxError SERIES_TOO_SHORT, SERIES_UNSORTED, SERIES_DUPLICATE_TIME, SERIES_MISSING_TIME, SERIES_IRREGULAR
 */
export function cadencesOf(
  times: ArrayLike<number>,
  form: TimestampForm,
  at: (row: number) => string,
): readonly Cadence[] {
  const fail = (code: string, message: string, row: number, hint: string): never => {
    throw new NextxError(code, message, { path: at(row), hint });
  };
  if (times.length < 2)
    fail("SERIES_TOO_SHORT", "A series needs at least two rows.", 0, "Remove it, or add its past.");
  const clock = "Times are read without zones: where clocks change, write UTC.";
  const gaps = Array.from(
    { length: times.length - 1 },
    (_, i) => (times[i + 1] as number) - (times[i] as number),
  );
  const [back, same] = [gaps.findIndex((gap) => gap < 0), gaps.indexOf(0)];
  if (back >= 0) fail("SERIES_UNSORTED", "Times of a series must grow.", back + 1, "Sort the rows by time.");
  if (same >= 0)
    fail("SERIES_DUPLICATE_TIME", "Two rows have one time.", same + 1, `Keep one of them. ${clock}`);
  const months = form === "number" ? [] : monthly(times);
  const size = gaps.reduce((least, gap) => Math.min(least, gap), Number.POSITIVE_INFINITY);
  const wrong = gaps.findIndex((gap) => gap !== size);
  if (wrong >= 0) {
    if (months.length > 0) return months;
    const isHole = (gaps[wrong] as number) % size === 0;
    const isOfWorkdays =
      form !== "number" && size === dayMs && !Array.from(times).some((ms) => isWeekend(ms));
    const numbers = "Of working days alone, number the rows instead (1, 2, 3, ...).";
    if (isHole)
      fail(
        ...(["SERIES_MISSING_TIME", "Rows are missing before this one.", wrong + 1] as const),
        isOfWorkdays ? `Fill the gap. ${numbers}` : `Fill the gap. ${clock}`,
      );
    fail(
      "SERIES_IRREGULAR",
      "The step to this row is no multiple of the others.",
      wrong + 1,
      "Rows must be evenly spaced.",
    );
  }
  return [...months, { kind: form === "number" ? "count" : "time", size }];
}

/**
 * The cadence of all series, one list of `cadencesOf` each: one that every series keeps. Where there is none, the place of
 * a series that does not keep those of `longest`.
 */
export function commonCadence(
  all: readonly (readonly Cadence[])[],
  longest: number,
): { readonly cadence: Cadence } | { readonly other: number } {
  const keeps = (own: readonly Cadence[], { kind, size }: Cadence) =>
    own.some((one) => one.kind === kind && one.size === size);
  let left = all[longest] ?? [];
  for (const [other, own] of all.entries()) {
    left = left.filter((one) => keeps(own, one));
    if (left.length === 0) return { other };
  }
  return { cadence: left[0] as Cadence }; // some are left
}

/** The time `steps` rows after another; a day that a month lacks becomes its last. */
export function timeAfter(ms: number, { kind, size }: Cadence, steps: number): number {
  if (kind === "time" || kind === "count") return ms + size * steps;
  const month = monthOf(ms) + size * steps;
  const [year, monthOfYear] = [Math.floor(month / 12), month % 12];
  const lastDay = dayOfMonth(Date.UTC(year, monthOfYear + 1, 0));
  const day = kind === "monthEnds" ? lastDay : Math.min(dayOfMonth(ms), lastDay);
  return Date.UTC(year, monthOfYear, day) + timeOfDay(ms);
}

/**
 * The time of a row, also of those after the last: from the latest day of the month that there is, since shorter months hide
 * it. @throws NextxError SERIES_BAD_TIME after the year 9999
 */
export function rowTime(times: readonly number[], cadence: Cadence, row: number): number {
  const known = times[row];
  if (known !== undefined) return known;
  let from = times.length - 1;
  if (cadence.kind === "months")
    for (const [i, ms] of times.entries()) if (dayOfMonth(ms) > dayOfMonth(times[from] as number)) from = i; // in range
  const ms = timeAfter(times[from] as number, cadence, row - from); // series are not empty
  if (cadence.kind === "count" || ms <= lastMs) return ms;
  throw new NextxError("SERIES_BAD_TIME", "The forecast reaches beyond the year 9999.", {
    path: "horizon",
    hint: "Ask for fewer rows, or number the rows instead of dating them.",
  });
}

/** The letter whose time marks suit; numbered rows get marks that do not change. */
export function frequencyOf({ kind, size }: Cadence): Frequency {
  if (kind !== "time") return "m";
  if (size < hourMs) return "t";
  if (size < dayMs) return "h";
  return size < 7 * dayMs ? "d" : "w";
}

/** Rows of the season that usually goes with a cadence: a day, a week, a year; 1 where none does. */
export function usualSeason({ kind, size }: Cadence): number {
  const whole = (span: number) => (span % size === 0 && span / size > 1 ? span / size : 1);
  if (kind === "count") return 1;
  if (kind !== "time") return whole(12);
  if (size < dayMs) return whole(dayMs);
  return size === 7 * dayMs ? 52 : whole(7 * dayMs);
}

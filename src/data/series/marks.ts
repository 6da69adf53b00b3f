/**
 * Time marks: where a moment lies in its hour, day, week, month and year, each from -0.5 to 0.5.
 * Source: Autoformer `utils/timefeatures.py` (code); all times are read as UTC, so that no hour is missing or double.
 */
import type { Frequency } from "./types.ts";

const dayMs = 86_400_000;

const minuteOfHour = (date: Date): number => date.getUTCMinutes() / 59 - 0.5;
const hourOfDay = (date: Date): number => date.getUTCHours() / 23 - 0.5;
/** Monday first. */
const dayOfWeek = (date: Date): number => ((date.getUTCDay() + 6) % 7) / 6 - 0.5;
const dayOfMonth = (date: Date): number => (date.getUTCDate() - 1) / 30 - 0.5;
const dayOfYear = (date: Date): number =>
  Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / dayMs) / 365 - 0.5;
const monthOfYear = (date: Date): number => date.getUTCMonth() / 11 - 0.5;

/** Week of the year by ISO 8601, 1 to 53. */
function isoWeek(date: Date): number {
  const weekday = (date.getUTCDay() + 6) % 7;
  const thursday = new Date(date.getTime() + (3 - weekday) * dayMs);
  return 1 + Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / (7 * dayMs));
}
const weekOfYear = (date: Date): number => (isoWeek(date) - 1) / 52 - 0.5;

const features: Readonly<Record<Frequency, readonly ((date: Date) => number)[]>> = {
  a: [],
  m: [monthOfYear],
  w: [dayOfMonth, weekOfYear],
  d: [dayOfWeek, dayOfMonth, dayOfYear],
  h: [hourOfDay, dayOfWeek, dayOfMonth, dayOfYear],
  t: [minuteOfHour, hourOfDay, dayOfWeek, dayOfMonth, dayOfYear],
};

/** Marks per row. */
export const markCount = (frequency: Frequency): number => features[frequency].length;

/** L x F marks of L moments. */
export function timeMarks(timesMs: ArrayLike<number>, frequency: Frequency): Float32Array {
  const wanted = features[frequency];
  const marks = new Float32Array(timesMs.length * wanted.length);
  for (let row = 0; row < timesMs.length; row++) {
    const date = new Date(timesMs[row] as number); // in range
    for (const [i, feature] of wanted.entries()) marks[row * wanted.length + i] = feature(date);
  }
  return marks;
}

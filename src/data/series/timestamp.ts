/** Timestamps of series files: ISO dates and what spreadsheets make of them. No zones: what is written is taken as UTC. */

const iso = /^(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?)?Z?$/;
const slashed = /^(\d{4})\/(\d{1,2})\/(\d{1,2})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?$/;

/** How a file writes its times. */
export type TimestampForm = "iso" | "month" | "slashed" | "compact" | "number";

/** The same, or a form whose dates carry a time of day, be it midnight. */
export type WrittenForm = TimestampForm | "isoClock" | "slashedClock";

/** 20241231: eight digits that are a date of these centuries. */
const compact = /^(1[6-9]\d{2}|2[0-4]\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/;

/** Written years begin here: `Date.UTC` takes smaller ones for years of the last century. */
const firstYear = 100;

/** Milliseconds of a second's digits; undefined when there are finer ones, which would be lost. */
function millisecondsOf(digits = ""): number | undefined {
  return /^0*$/.test(digits.slice(3)) ? Number(digits.slice(0, 3).padEnd(3, "0")) : undefined;
}

/**
 * Milliseconds since 1970 and the form, or undefined for what is no time: also years before 100, and seconds in finer
 * parts than milliseconds. Plain integers are steps, not times, unless their eight digits are a date.
 */
export function parseTimestamp(
  text: string,
): { readonly ms: number; readonly form: TimestampForm } | undefined {
  const word = text.trim();
  if (/^-?\d{1,15}$/.test(word) && !compact.test(word)) return { ms: Number(word), form: "number" };
  for (const [form, pattern] of [
    ["compact", compact],
    ["iso", iso],
    ["slashed", slashed],
  ] as const) {
    const found = pattern.exec(word);
    if (!found) continue;
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = found
      .slice(1, 7)
      .map((part) => (part === undefined ? undefined : Number(part)));
    const milliseconds = millisecondsOf(found[7]);
    if (milliseconds === undefined) return undefined;
    const ms = Date.UTC(year, month - 1, day, hour, minute, second, milliseconds);
    const date = new Date(ms);
    const isReal =
      year >= firstYear &&
      date.getUTCMonth() === month - 1 &&
      date.getUTCDate() === day &&
      hour < 24 &&
      minute < 60 &&
      second < 60;
    const isMonth = form === "iso" && found[3] === undefined;
    return isReal ? { ms, form: isMonth ? "month" : form } : undefined;
  }
  return undefined;
}

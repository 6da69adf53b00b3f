/** Timestamps of series files: ISO dates and what spreadsheets make of them. No zones: what is written is taken as UTC. */

const iso = /^(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?Z?$/;
const slashed = /^(\d{4})\/(\d{1,2})\/(\d{1,2})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?$/;

/** How a file writes its times. */
export type TimestampForm = "iso" | "slashed" | "number";

/** Milliseconds since 1970 and the form, or undefined for what is no time. Plain integers are steps, not times. */
export function parseTimestamp(
  text: string,
): { readonly ms: number; readonly form: TimestampForm } | undefined {
  const word = text.trim();
  if (/^-?\d{1,15}$/.test(word)) return { ms: Number(word), form: "number" };
  for (const [form, pattern] of [
    ["iso", iso],
    ["slashed", slashed],
  ] as const) {
    const found = pattern.exec(word);
    if (!found) continue;
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = found
      .slice(1)
      .map((part) => (part === undefined ? undefined : Number(part)));
    const ms = Date.UTC(year, month - 1, day, hour, minute, second);
    const date = new Date(ms);
    const isReal =
      date.getUTCMonth() === month - 1 &&
      date.getUTCDate() === day &&
      hour < 24 &&
      minute < 60 &&
      second < 60;
    return isReal ? { ms, form } : undefined;
  }
  return undefined;
}

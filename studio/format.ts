/** Numbers and times as people read them. */

/** "2 h 5 min", "3 min", "12 s". */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Four digits, no rubbish like 0.30000000000000004; millions as "1.235 M". */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size >= 1e6 && size < 1e12)
    return `${Number((value / 1e6).toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 })} M`;
  if (size >= 1e12 || size < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** "4.2 MB". */
export function megabytes(bytes: number): string {
  return bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** "26 Nov, 07:04" in the reader's language. */
export function when(ms: number): string {
  return new Date(ms).toLocaleString(undefined, {
    ...{ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  });
}

/** What is told of progress aloud: each quarter once, nothing before the first. */
export function milestone(done: number, total: number): string {
  const quarters = total > 0 ? Math.floor((4 * done) / total) : 0;
  return ["", "A quarter is done.", "Half is done.", "Three quarters are done.", "All steps are done."][
    Math.min(4, Math.max(0, quarters))
  ] as string; // in range
}

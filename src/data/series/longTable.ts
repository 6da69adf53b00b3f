/** Long tables of many series: columns `unique_id`, `ds`, `y`, one row per series and time. Hostile input. */
import { nearest } from "../../formats/suggest.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type Cadence, cadencesOf, commonCadence } from "./cadence.ts";
import { type CsvRow, decimalNumber, parseCsv } from "./csv.ts";
import { parseTimestamp, type TimestampForm, type WrittenForm } from "./timestamp.ts";

export interface LongSeries {
  readonly id: string;
  /** Milliseconds since 1970, or the numbers of numbered rows. */
  readonly timesMs: readonly number[];
  readonly values: readonly number[];
}

/** Something a reader of results should know, with a code like an error's. */
export interface SeriesNotice {
  readonly code: "SERIES_CONSTANT";
  readonly series: string;
}

export interface LongTable {
  readonly series: readonly LongSeries[];
  readonly cadence: Cadence;
  readonly form: WrittenForm;
  readonly notices: readonly SeriesNotice[];
}

const columns = ["unique_id", "ds", "y"] as const;
/** More series in one file are refused. */
export const maxSeries = 100_000;

/** The character between cells: what the header's names are divided by. */
function delimiterOf(text: string): string {
  const header = /[^\r\n]+/.exec(text.slice(0, 10_000).replace(/"[^"]*"/g, ""))?.[0] ?? "";
  const counts = [",", ";", "\t"].map((mark) => [header.split(mark).length, mark] as const);
  return counts.reduce((a, b) => (b[0] > a[0] ? b : a))[1];
}

interface Building {
  readonly times: number[];
  readonly values: number[];
  readonly lines: number[];
}

const columnsHint = "The columns are unique_id, ds and y.";

/** Where the three columns are. @throws NextxError SERIES_MISSING_COLUMN, SERIES_REPEATED_COLUMN */
function placesOf(header: readonly string[], path: string): [number, number, number] {
  const places = columns.map((name) => header.indexOf(name)) as [number, number, number]; // three columns
  const missing = columns.find((_, i) => places[i] === -1);
  if (missing !== undefined) {
    const others = header.filter((_, i) => !places.includes(i));
    const near = nearest(missing, others);
    throw new NextxError("SERIES_MISSING_COLUMN", `${path} has no column "${missing}".`, {
      path: "header",
      hint: near ? `Did you mean "${near}"? ${columnsHint}` : columnsHint,
    });
  }
  const repeated = columns.find((name, i) => header.indexOf(name, (places[i] as number) + 1) >= 0); // one per column
  if (repeated === undefined) return places;
  throw new NextxError("SERIES_REPEATED_COLUMN", `${path} has the column "${repeated}" twice.`, {
    path: "header",
    hint: "Keep the one that is meant.",
  });
}

/**
 * @throws NextxError CSV_BAD_FILE, SERIES_MISSING_COLUMN, SERIES_REPEATED_COLUMN, SERIES_EMPTY, SERIES_BAD_TIME, SERIES_MIXED_TIMES,
 * SERIES_NOT_A_NUMBER, SERIES_TOO_MANY, SERIES_MIXED_FREQUENCY and those of `cadencesOf`
 */
export function readLongTable(text: string, path: string): LongTable {
  const [first, ...rows] = parseCsv(text, path, delimiterOf(text));
  if (first === undefined)
    throw new NextxError("SERIES_EMPTY", `${path} is empty.`, { path, hint: columnsHint });
  const places = placesOf(
    first.cells.map((name) => name.trim()),
    path,
  );
  if (rows.length === 0) throw new NextxError("SERIES_EMPTY", `${path} has no rows.`, { path });
  requireNoMonths(rows.map(({ cells }) => cells[places[1]]?.trim() ?? ""));
  const { series, form } = collect(rows, places);
  const cadences = series.map(({ id, times, lines }) =>
    cadencesOf(times, form.read, (row) => `series "${id}", line ${lines[row]}`),
  );
  const rowsOf = (place: number) => series[place]?.times.length ?? 0;
  const longest = series.reduce((best, _, i) => (rowsOf(i) > rowsOf(best) ? i : best), 0);
  const common = commonCadence(cadences, longest);
  if ("other" in common) {
    throw new NextxError("SERIES_MIXED_FREQUENCY", "All series of a file need one step between rows.", {
      path: `series "${series[common.other]?.id}"`,
      hint: "Forecast series of other steps from files of their own.",
    });
  }
  return {
    series: series.map(({ id, times, values }) => ({ id, timesMs: times, values })),
    cadence: common.cadence,
    form: form.written,
    notices: series
      .filter(({ values }) => values.every((value) => value === values[0]))
      .map(({ id }) => ({ code: "SERIES_CONSTANT", series: id })),
  };
}

/** 202312: six digits that are a month of these centuries. */
const digitsOfMonth = /^(19|20)\d{2}(0[1-9]|1[0-2])$/;

/** Numbers that are meant for months would go on with a thirteenth. @throws NextxError SERIES_BAD_TIME */
function requireNoMonths(times: readonly string[]): void {
  const [first = ""] = times;
  if (!times.every((time) => digitsOfMonth.test(time))) return;
  throw new NextxError("SERIES_BAD_TIME", "Times are whole numbers that look like months.", {
    path: "ds",
    hint: `Write ${first.slice(0, 4)}-${first.slice(4)} for ${first}, or number the rows from 1.`,
  });
}

function collect(rows: readonly CsvRow[], places: readonly [number, number, number]) {
  const byId = new Map<string, Building>();
  let form: TimestampForm | undefined;
  let hasClock = false;
  for (const { cells, line } of rows) {
    const [id, time, value] = places.map((at) => cells[at] ?? "") as [string, string, string]; // three columns
    const path = `series "${id}", line ${line}`;
    const moment = parseTimestamp(time);
    if (moment === undefined)
      throw new NextxError("SERIES_BAD_TIME", `"${time}" is no date.`, {
        path,
        hint: "Write 2024-12-31 23:00:00, at most with milliseconds.",
      });
    form ??= moment.form;
    if ([form, moment.form].every((one) => one === "iso" || one === "month") && moment.form !== form)
      form = "iso"; // months beside dates
    else if (moment.form !== form)
      throw new NextxError("SERIES_MIXED_TIMES", `"${time}" is written otherwise than the times before.`, {
        path,
      });
    hasClock ||= time.includes(":");
    const number = decimalNumber(value);
    if (!Number.isFinite(number) || !Number.isFinite(Math.fround(number))) {
      const hint = "Fill or remove missing values; decimals are written with a point.";
      throw new NextxError("SERIES_NOT_A_NUMBER", `"${value}" is no number.`, { path, hint });
    }
    const known = byId.get(id) ?? { times: [], values: [], lines: [] };
    if (!byId.has(id) && byId.size === maxSeries)
      throw new NextxError("SERIES_TOO_MANY", `A file holds at most ${maxSeries} series.`, { path });
    byId.set(id, known);
    known.times.push(moment.ms);
    known.values.push(number);
    known.lines.push(line);
  }
  const read = form as TimestampForm; // there are rows
  const written: WrittenForm =
    hasClock && read !== "compact" ? (read === "slashed" ? "slashedClock" : "isoClock") : read;
  return { series: [...byId].map(([id, parts]) => ({ id, ...parts })), form: { read, written } };
}

const quoted = (cell: string): string =>
  /[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;

/** A time as its file wrote it: a number, a date, or a date with time, with milliseconds where it has some; two digits each. */
export function timeText(
  ms: number,
  form: WrittenForm,
  isWholeDay: boolean,
  hasMilliseconds = ms % 1000 !== 0,
): string {
  if (form === "number") return String(ms);
  const text = new Date(ms).toISOString();
  if (form === "month" && text.slice(8, 10) === "01" && isWholeDay) return text.slice(0, 7);
  if (form === "compact" && isWholeDay) return text.slice(0, 10).replaceAll("-", "");
  const isDate = isWholeDay && form !== "isoClock" && form !== "slashedClock";
  const written = isDate ? text.slice(0, 10) : text.slice(0, hasMilliseconds ? 23 : 19).replace("T", " ");
  return form === "slashed" || form === "slashedClock" ? written.replaceAll("-", "/") : written;
}

/** Further columns of a series' rows, under their names; the same names for all series. */
export type MoreColumns = (series: number) => ReadonlyMap<string, readonly number[]>;

/** A long table as CSV text. */
export function writeLongTable(
  series: readonly LongSeries[],
  form: WrittenForm,
  more: MoreColumns = () => new Map(),
): string {
  const areWhole = (size: number) => series.every(({ timesMs }) => timesMs.every((ms) => ms % size === 0));
  const [isWholeDay, hasMilliseconds] = [areWhole(86_400_000), !areWhole(1000)];
  const names = series.length > 0 ? [...more(0).keys()] : [];
  const lines = series.flatMap(({ id, timesMs, values }, place) => {
    const numbers = [values, ...more(place).values()];
    return timesMs.map((ms, i) => {
      const cells = numbers.map((column) => column[i]); // one per time
      return [quoted(id), timeText(ms, form, isWholeDay, hasMilliseconds), ...cells].join(",");
    });
  });
  return `${[[...columns, ...names].join(","), ...lines].join("\n")}\n`;
}

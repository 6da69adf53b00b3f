/** Benchmark tables: a column of dates, one column per channel. */
import { CsvError, parse } from "csv-parse/sync";
import { NextxError } from "../../tensor/errors.ts";
import { parseTimestamp } from "./timestamp.ts";
import type { SeriesTable } from "./types.ts";

/** Cells, and the line of the file on which they end. */
export interface CsvRow {
  readonly cells: readonly string[];
  readonly line: number;
}

/** Rows of text cells; every row is as long as the first. @throws NextxError CSV_BAD_FILE */
export function parseCsv(text: string, path: string, delimiter = ","): readonly CsvRow[] {
  try {
    const options = {
      ...{ bom: true, delimiter, skip_empty_lines: true, max_record_size: 1 << 20, info: true },
      record_delimiter: ["\r\n", "\n", "\r"], // else as the first line ends
    };
    const rows = parse(text, options) as unknown as { record: string[]; info: { lines: number } }[]; // `info` says so
    return rows.map(({ record, info }) => ({ cells: record, line: info.lines }));
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw new NextxError("CSV_BAD_FILE", `${path} is not a table: ${cause.message}`, {
      path,
      hint: "Every line needs as many cells as the header, and every quote its end.",
      cause,
    });
  }
}

/** A table's bytes as text. @throws NextxError CSV_NOT_UTF8, CSV_TOO_LARGE */
export function decodeTable(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError))
      throw new NextxError("CSV_TOO_LARGE", `${path} is larger than a text can be (512 MiB).`, {
        path,
        hint: "Divide the table into several, each with some of the series.",
        cause,
      });
    throw new NextxError("CSV_NOT_UTF8", `${path} is not text in UTF-8.`, {
      path,
      hint: "Save the table again as UTF-8.",
      cause,
    });
  }
}

/** A decimal number; NaN for everything else, also for other bases. */
export function decimalNumber(cell: string): number {
  return /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(cell.trim()) ? Number(cell) : Number.NaN;
}

const place = (path: string, line: number, column: string): string => `${path}, line ${line}, ${column}`;

/** A table with dates in its first column. @throws NextxError CSV_BAD_FILE, SERIES_BAD_TIME, SERIES_NOT_A_NUMBER, SERIES_UNSORTED */
export function readSeriesTable(text: string, path: string): SeriesTable {
  const [header, ...rows] = parseCsv(text, path);
  const channels = header?.cells.slice(1) ?? [];
  const timesMs = new Float64Array(rows.length);
  const values = new Float32Array(rows.length * channels.length);
  for (const [row, { cells: all, line }] of rows.entries()) {
    const [time = "", ...cells] = all;
    const ms = parseTimestamp(time)?.ms;
    if (ms === undefined)
      throw new NextxError("SERIES_BAD_TIME", `"${time}" is no date.`, {
        path: place(path, line, "date"),
      });
    if (row > 0 && ms <= (timesMs[row - 1] as number))
      throw new NextxError("SERIES_UNSORTED", "Times must grow.", { path: place(path, line, "date") });
    timesMs[row] = ms;
    for (const [i, cell] of cells.entries()) {
      const value = decimalNumber(cell);
      if (!Number.isFinite(value)) {
        const where = place(path, line, channels[i] ?? "");
        throw new NextxError("SERIES_NOT_A_NUMBER", `"${cell}" is no number.`, { path: where });
      }
      values[row * channels.length + i] = value;
    }
  }
  return { channels, timesMs, values };
}

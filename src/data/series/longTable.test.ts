/** Long tables: what is read, what is written, and every bad file with its code. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Cadence, cadencesOf, frequencyOf, rowTime, timeAfter, usualSeason } from "./cadence.ts";
import { decodeTable } from "./csv.ts";
import { type LongSeries, maxSeries, readLongTable, writeLongTable } from "./longTable.ts";

const rows = (...lines: string[]): string => ["unique_id,ds,y", ...lines, ""].join("\n");
const day = (i: number): string => new Date(Date.UTC(2024, 0, 1 + i)).toISOString().slice(0, 10);
const read = (text: string) => readLongTable(text, "x.csv");

describe("good files", () => {
  it.each([
    ["a byte order mark", `\uFEFF${rows("a,2024-01-01,1", "a,2024-01-02,2")}`],
    ["semicolons", rows("a,2024-01-01,1", "a,2024-01-02,2").replaceAll(",", ";")],
    ["tabs", rows("a,2024-01-01,1", "a,2024-01-02,2").replaceAll(",", "\t")],
    ["other columns and another order", "y,extra,ds,unique_id\n1,x,2024-01-01,a\n2,x,2024-01-02,a\n"],
    ["Windows line ends", rows("a,2024-01-01,1", "a,2024-01-02,2").replaceAll("\n", "\r\n")],
    ["mixed line ends", "y,ds,unique_id\r\n1,2024-01-01,a\n2,2024-01-02,a\r\n"],
    ["mixed line ends, the header's of Unix", "y,ds,unique_id\n1,2024-01-01,a\r\n2,2024-01-02,a\n"],
    ["commas within a name of the header", '"a, b, c, d";unique_id;ds;y\n;a;2024-01-01;1\n;a;2024-01-02;2\n'],
  ])("with %s", (_, text) => {
    const { series, cadence } = read(text);
    expect(series).toEqual([
      { id: "a", timesMs: [Date.UTC(2024, 0, 1), Date.UTC(2024, 0, 2)], values: [1, 2] },
    ]);
    expect(cadence).toEqual({ kind: "time", size: 86_400_000 });
  });

  it("keeps names with commas, quotes and line ends", () => {
    const id = 'one "two",\nthree';
    const text = writeLongTable([{ id, timesMs: [0, 1], values: [1, 2] }], "number");
    expect(read(text).series).toEqual([{ id, timesMs: [0, 1], values: [1, 2] }]);
  });

  it("takes decimal numbers in every way of writing", () => {
    const values = ["1", "-2.5", "+3", ".5", "4.", "1e3", "2.5E-1", " 7 "];
    const text = rows(...values.map((value, i) => `a,${i},${value}`));
    expect(read(text).series[0]?.values).toEqual([1, -2.5, 3, 0.5, 4, 1000, 0.25, 7]);
  });

  it("keeps milliseconds, and writes them on every row", () => {
    const { series, cadence, form } = read(
      rows("a,2024-01-01 00:00:00.5,1", "a,2024-01-01 00:00:00.750000,2", "a,2024-01-01 00:00:01,3"),
    );
    expect(cadence).toEqual({ kind: "time", size: 250 });
    expect(writeLongTable(series, form)).toBe(
      rows("a,2024-01-01 00:00:00.500,1", "a,2024-01-01 00:00:00.750,2", "a,2024-01-01 00:00:01.000,3"),
    );
  });

  it("notes a series that does not change", () => {
    const text = rows("a,2024-01-01,5", "b,2024-01-01,1", "a,2024-01-02,5", "b,2024-01-02,2");
    expect(read(text).notices).toEqual([{ code: "SERIES_CONSTANT", series: "a" }]);
  });

  it.each([
    ["20231230", "20231231", "20240101"],
    ["2023/12/30", "2023/12/31", "2024/01/01"],
    ["2023-12-30", "2023-12-31", "2024-01-01"],
    ["20240131", "20240229", "20240331"],
    ["98", "99", "100"],
  ])("reads and continues times such as %s as they are written", (first, second, third) => {
    const table = read(rows(`a,${first},1`, `a,${second},2`));
    const [one] = table.series as [LongSeries];
    const next = { ...one, timesMs: [rowTime(one.timesMs, table.cadence, 2)], values: [3] };
    expect(writeLongTable([next], table.form)).toBe(rows(`a,${third},3`));
    expect(read(rows(`a,${first},1`, `a,${second},2`, `a,${third},3`)).form).toBe(table.form);
  });

  it("writes the time of day where the file does, also at midnight", () => {
    const hours = ["2024-03-01 22:00:00", "2024-03-01 23:00:00"].map((ds, i) => `a,${ds},${i}`);
    const next = (text: string) => {
      const { series, cadence, form } = read(text);
      const { timesMs } = series[0] as LongSeries;
      return writeLongTable([{ id: "a", timesMs: [rowTime(timesMs, cadence, 2)], values: [2] }], form);
    };
    expect(next(rows(...hours))).toBe(rows("a,2024-03-02 00:00:00,2"));
    expect(next(rows(...hours).replaceAll("-", "/"))).toBe(rows("a,2024/03/02 00:00:00,2"));
    expect(next(rows("a,2024-02-29,0", "a,2024-03-01 00:00:00,1"))).toBe(rows("a,2024-03-02 00:00:00,2"));
    expect(next(rows("a,2024-01,0", "a,2024-02-01 00:00,1"))).toBe(rows("a,2024-03-01 00:00:00,2"));
  });

  it("names of columns may have spaces, and lines are counted as in the file", () => {
    expect(read("unique_id, ds, y\na,1,1\na,2,2\n").series).toHaveLength(1);
    const text = 'unique_id,ds,y\n\n"a\n1",1,1\n\n"a\n1",2,x\n';
    expect(() => read(text)).toThrow(expect.objectContaining({ path: expect.stringContaining("line 7") }));
  });

  it("finds the mark between cells after empty lines", () => {
    expect(read("\n\nunique_id;ds;y\na;1;1\na;2;2\n").series).toHaveLength(1);
  });

  it("says what to do with working days", () => {
    const days = ["2024-01-04", "2024-01-05", "2024-01-08"].map((one, i) => `a,${one},${i}`);
    expect(() => read(rows(...days))).toThrow(
      expect.objectContaining({ code: "SERIES_MISSING_TIME", hint: expect.stringContaining("working days") }),
    );
  });

  it("does not go beyond the years that tables can write", () => {
    const { series, cadence } = read(rows("a,9990-01-01,1", "a,9995-01-01,2"));
    expect(() => rowTime(series[0]?.timesMs ?? [], cadence, 2)).toThrow(
      expect.objectContaining({ code: "SERIES_BAD_TIME" }),
    );
  });

  it("writes what it reads", () => {
    const values = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
      minLength: 2,
      maxLength: 5,
    });
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), values, { minKeys: 1 }), (all) => {
        const clean = Object.entries(all).filter(([id]) => !/[\r]/.test(id) && id.trim() !== "");
        const series = clean.map(([id, list]) => ({ id, timesMs: list.map((_, i) => i), values: list }));
        if (series.length === 0) return;
        const back = read(writeLongTable(series, "number")).series;
        expect(back.map(({ id }) => id)).toEqual(series.map(({ id }) => id));
        for (const [i, one] of series.entries())
          for (const [j, value] of one.values.entries())
            expect(Math.abs((back[i]?.values[j] ?? Number.NaN) - value)).toBeLessThanOrEqual(
              1e-7 * Math.abs(value),
            );
      }),
    );
  });
});

const hourly = (...hours: string[]): string => rows(...hours.map((hour, i) => `a,2024-03-31 ${hour},${i}`));

/** Families of bad files, each with the code that tells it. */
const bad: readonly (readonly [string, string, string])[] = [
  ["nothing", "", "SERIES_EMPTY"],
  ["empty lines", "\n\n", "SERIES_EMPTY"],
  ["a column twice", "unique_id,ds,y,y\na,2024-01-01,1,2\n", "SERIES_REPEATED_COLUMN"],
  ["only a header", "unique_id,ds,y\n", "SERIES_EMPTY"],
  ["a missing column", "id,ds,y\na,2024-01-01,1\n", "SERIES_MISSING_COLUMN"],
  ["a quote without an end", rows('"a,2024-01-01,1', "a,2024-01-02,2"), "CSV_BAD_FILE"],
  ["a ragged line", rows("a,2024-01-01", "a,2024-01-02,2"), "CSV_BAD_FILE"],
  ["mixed date forms", rows("a,2024-01-01,1", "a,2024/1/2,2"), "SERIES_MIXED_TIMES"],
  ["dates and numbers", rows("a,2024-01-01,1", "a,2,2"), "SERIES_MIXED_TIMES"],
  ["months that look like numbers", rows("a,202311,1", "a,202312,2", "a,202401,3"), "SERIES_BAD_TIME"],
  ["a day that does not exist", rows("a,2024-02-30,1", "a,2024-03-01,2"), "SERIES_BAD_TIME"],
  ["an unknown date form", rows("a,31.12.2024,1", "a,01.01.2025,2"), "SERIES_BAD_TIME"],
  ["unsorted rows", rows("a,2024-01-02,1", "a,2024-01-01,2"), "SERIES_UNSORTED"],
  ["a time twice", rows("a,2024-01-01,1", "a,2024-01-01,2"), "SERIES_DUPLICATE_TIME"],
  ["a missing time", rows("a,2024-01-01,1", "a,2024-01-02,2", "a,2024-01-04,3"), "SERIES_MISSING_TIME"],
  [
    "an uneven step",
    rows("a,2024-01-01 00:00,1", "a,2024-01-01 02:00,2", "a,2024-01-01 05:00,3"),
    "SERIES_IRREGULAR",
  ],
  ["the hour that a clock skips", hourly("00:00:00", "01:00:00", "03:00:00"), "SERIES_MISSING_TIME"],
  ["the hour that a clock repeats", hourly("01:00:00", "02:00:00", "02:00:00"), "SERIES_DUPLICATE_TIME"],
  ["an empty value", rows("a,2024-01-01,", "a,2024-01-02,2"), "SERIES_NOT_A_NUMBER"],
  ["NaN", rows("a,2024-01-01,NaN", "a,2024-01-02,2"), "SERIES_NOT_A_NUMBER"],
  ["infinity", rows("a,2024-01-01,inf", "a,2024-01-02,2"), "SERIES_NOT_A_NUMBER"],
  ["beyond float32", rows("a,2024-01-01,1e300", "a,2024-01-02,2"), "SERIES_NOT_A_NUMBER"],
  ["a hexadecimal value", rows("a,2024-01-01,0x10", "a,2024-01-02,2"), "SERIES_NOT_A_NUMBER"],
  ["a binary value", rows("a,2024-01-01,0b11", "a,2024-01-02,2"), "SERIES_NOT_A_NUMBER"],
  ["a year of two digits", rows("a,0024-01-01,1", "a,0024-01-02,2"), "SERIES_BAD_TIME"],
  ["microseconds", rows("a,2024-01-01 00:00:00.000001,1", "a,2024-01-01 00:00:01,2"), "SERIES_BAD_TIME"],
  [
    "a missing time below a second",
    rows("a,2024-01-01 00:00:00.25,1", "a,2024-01-01 00:00:01.75,2", "a,2024-01-01 00:00:02.25,3"),
    "SERIES_MISSING_TIME",
  ],
  ["text in numbers", rows("a,2024-01-01,12 apples", "a,2024-01-02,2"), "SERIES_NOT_A_NUMBER"],
  ["a decimal comma", "unique_id;ds;y\na;2024-01-01;1,5\na;2024-01-02;2\n", "SERIES_NOT_A_NUMBER"],
  ["one row", rows("a,2024-01-01,1"), "SERIES_TOO_SHORT"],
  [
    "mixed steps",
    rows("a,2024-01-01,1", "a,2024-01-02,2", "b,2024-01-01,1", "b,2024-01-08,2"),
    "SERIES_MIXED_FREQUENCY",
  ],
];

describe("bad files", () => {
  it("in Latin-1 are refused: their names would become one", () => {
    const text = rows("\u00e4,1,1", "\u00e4,2,2", "\u00f6,1,3", "\u00f6,2,4");
    const utf8 = new TextEncoder().encode(`\uFEFF${text}`);
    expect(read(decodeTable(utf8, "x.csv")).series.map(({ id }) => id)).toEqual(["\u00e4", "\u00f6"]);
    expect(() => decodeTable(Buffer.from(text, "latin1"), "x.csv")).toThrow(
      expect.objectContaining({ code: "CSV_NOT_UTF8", path: "x.csv" }),
    );
  });

  it.each(bad)("with %s", (_, text, code) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code }));
  });

  it("with too many series end quickly", () => {
    const text = rows(...Array.from({ length: maxSeries + 1 }, (_, i) => `s${i},1,1`));
    const startMs = performance.now();
    expect(() => read(text)).toThrow(expect.objectContaining({ code: "SERIES_TOO_MANY" }));
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });

  it("beyond what a text can hold are refused by their size", () => {
    expect(() => decodeTable(new Uint8Array(2 ** 29), "x.csv")).toThrow(
      expect.objectContaining({ code: "CSV_TOO_LARGE" }),
    );
  });

  it("are told the columns that they lack, and what there is in their place", () => {
    const hint = (header: string) => {
      try {
        read(`${header}\na,1,1\n`);
      } catch (error) {
        return (error as { hint?: string }).hint;
      }
      return undefined;
    };
    expect(hint("unique_id,date,y")).toBe("The columns are unique_id, ds and y.");
    expect(hint("unique_id,dates,y")).not.toContain('y"?');
    expect(hint("uniqueid,ds,y")).toBe('Did you mean "uniqueid"? The columns are unique_id, ds and y.');
  });

  it("say where: the series and the line", () => {
    const text = rows("a,2024-01-01,1", "b,2024-01-01,1", "a,2024-01-02,x");
    expect(() => read(text)).toThrow(expect.objectContaining({ path: 'series "a", line 4' }));
  });

  it("never fail otherwise", () => {
    const line = fc.constantFrom(
      "a",
      "2024-01-01",
      "1",
      ",",
      ";",
      '"',
      "\n",
      "\u0000",
      "NaN",
      "\uFEFF",
      "unique_id,ds,y\n",
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), (parts) => {
        try {
          read(parts.join(""));
        } catch (error) {
          expect(String((error as { code?: string }).code)).toMatch(/^(CSV|SERIES)_/);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("cadence", () => {
  const times = (...texts: string[]) => texts.map((text) => Date.parse(`${text}Z`));
  const of = (...texts: string[]) => cadencesOf(times(...texts), "iso", String)[0] as Cadence;

  it("writes months as they came", () => {
    const table = read("unique_id,ds,y\na,2024-11,1\na,2024-12,2\n");
    const more = [{ id: "a", timesMs: [Date.UTC(2025, 0)], values: [3] }];
    expect(writeLongTable(more, table.form)).toBe("unique_id,ds,y\na,2025-01,3\n");
    expect(read("unique_id,ds,y\na,2024-11,1\na,2024-12-01,2\n").form).toBe("iso");
  });

  it("knows months, ends of months, quarters, weeks and hours", () => {
    expect(of("2024-01-01", "2024-02-01", "2024-03-01")).toEqual({ kind: "months", size: 1 });
    expect(of("2024-01-31", "2024-02-29", "2024-03-31")).toEqual({ kind: "monthEnds", size: 1 });
    expect(of("2023-12-31", "2024-03-31", "2024-06-30")).toEqual({ kind: "monthEnds", size: 3 });
    expect(of("2024-01-01", "2024-01-08")).toEqual({ kind: "time", size: 7 * 86_400_000 });
    expect(usualSeason(of("2024-01-01", "2024-02-01"))).toBe(12);
    expect(usualSeason(of("2024-01-01T00:00", "2024-01-01T00:15"))).toBe(96);
    expect(usualSeason({ kind: "count", size: 1 })).toBe(1);
    expect(frequencyOf(of("2024-01-01T00:00", "2024-01-01T01:00"))).toBe("h");
  });

  it("continues where the rows would have gone on", () => {
    const next = (from: string, cadence: Parameters<typeof timeAfter>[1], steps: number) =>
      new Date(timeAfter(Date.parse(`${from}Z`), cadence, steps)).toISOString().slice(0, 10);
    expect(next("2023-12-01", { kind: "months", size: 1 }, 2)).toBe("2024-02-01");
    expect(next("2024-01-31", { kind: "monthEnds", size: 1 }, 1)).toBe("2024-02-29");
    expect(next("2024-11-30", { kind: "monthEnds", size: 1 }, 3)).toBe("2025-02-28");
    expect(next(day(0), { kind: "time", size: 86_400_000 }, 60)).toBe("2024-03-01");
  });

  it.each([
    [
      ["2023-10-31", "2023-12-31"],
      ["2024-02-29", "2024-04-30", "2024-06-30"],
    ],
    [
      ["2023-10-30", "2023-11-30", "2023-12-30"],
      ["2024-01-30", "2024-02-29", "2024-03-30"],
    ],
    [
      ["2023-12-30", "2024-01-30", "2024-02-29"],
      ["2024-03-30", "2024-04-30"],
    ],
    [
      ["2023-06-30", "2023-09-30"],
      ["2023-12-31", "2024-03-31"],
    ],
    [
      ["2022-12-31", "2023-03-31"],
      ["2023-06-30", "2023-09-30"],
    ],
    [
      ["1960-01-15T06:00", "1960-02-15T06:00", "1960-03-15T06:00"],
      ["1960-04-15T06:00", "1960-05-15T06:00"],
    ],
    [
      ["1959-12-31T18:30", "1960-01-31T18:30"],
      ["1960-02-29T18:30", "1960-03-31T18:30"],
    ],
  ])("continues %j with days that the months have", (known, wanted) => {
    const cadence = of(...known);
    const all = times(...known);
    expect(wanted.map((_, i) => rowTime(all, cadence, all.length + i))).toEqual(times(...wanted));
  });

  it.each([
    [
      "years on a day that ends a February",
      ["2021-02-28", "2022-02-28", "2023-02-28", "2024-02-28"],
      2,
      "months",
    ],
    ["quarters on the 30th", ["2022-12-30", "2023-03-30", "2023-06-30", "2023-09-30"], 2, "months"],
    ["ends of months, all short ones", ["2023-09-30", "2023-10-31", "2023-11-30"], 2, "monthEnds"],
    [
      "28 days, two of which are a month",
      ["2023-01-04", "2023-02-01", "2023-03-01", "2023-03-29"],
      2,
      "time",
    ],
  ] as const)("of all series follows from the longer ones: %s", (_, long, short, kind) => {
    const parts = long.slice(1).map((__, i) => long.slice(i, i + short)); // every short piece of the long one
    for (const part of parts.filter(({ length }) => length === short)) {
      const lines = (id: string, all: readonly string[]) => all.map((ds, i) => `${id},${ds},${i}`);
      expect(read(rows(...lines("a", part), ...lines("b", long))).cadence.kind).toBe(kind);
      expect(read(rows(...lines("b", long), ...lines("a", part))).cadence.kind).toBe(kind);
    }
  });

  it("of other series is told by the shorter one's name", () => {
    const days = (id: string, count: number, step: number) =>
      Array.from({ length: count }, (_, i) => `${id},${day(i * step)},${i}`);
    expect(() => read(rows(...days("short", 3, 2), ...days("long", 9, 1)))).toThrow(
      expect.objectContaining({ code: "SERIES_MIXED_FREQUENCY", path: 'series "short"' }),
    );
  });

  it("is none where ends of months come at different hours", () => {
    expect(() => of("2024-01-31T06:00", "2024-02-29T07:00", "2024-03-31T06:00")).toThrow(
      expect.objectContaining({ code: "SERIES_IRREGULAR" }),
    );
  });
});

/** Reading, splitting, scaling and cutting of benchmark series. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSeriesTable } from "./csv.ts";
import { markCount, timeMarks } from "./marks.ts";
import { fitScaling, monthBorders, shareBorders } from "./splits.ts";
import { syntheticSeries } from "./synthetic.ts";
import { parseTimestamp } from "./timestamp.ts";
import type { SeriesTable } from "./types.ts";
import { openWindows, type SeriesSource } from "./windows.ts";

const hours = (rows: number, of: (row: number, channel: number) => number, channels = 2): SeriesTable => ({
  channels: Array.from({ length: channels }, (_, i) => `c${i}`),
  timesMs: Float64Array.from({ length: rows }, (_, i) => Date.UTC(2016, 6, 1) + i * 3_600_000),
  values: Float32Array.from({ length: rows * channels }, (_, i) =>
    of(Math.floor(i / channels), i % channels),
  ),
});

const source = (table: SeriesTable): SeriesSource => ({
  ...{ id: "test", version: "0", table, frequency: "h", season: 24 },
  borders: shareBorders(table.timesMs.length),
});

describe("reading", () => {
  it("takes a table with a byte order mark and dates in both ways of writing", () => {
    const table = readSeriesTable(
      "\uFEFFdate,a,b\n2016-07-01 00:00:00,1,2\n2016-07-01 01:00:00,3,-4e-1\n",
      "x.csv",
    );
    expect(table.channels).toEqual(["a", "b"]);
    expect([...table.values]).toEqual([1, 2, 3, Math.fround(-0.4)]);
    expect([...table.timesMs]).toEqual([Date.UTC(2016, 6, 1), Date.UTC(2016, 6, 1, 1)]);
    expect(readSeriesTable("date,a\n1990/1/2 0:00,1\n", "x.csv").timesMs[0]).toBe(Date.UTC(1990, 0, 2));
  });

  it.each([
    ["date,a\nyesterday,1\n", "SERIES_BAD_TIME"],
    ["date,a\n2016-02-30,1\n", "SERIES_BAD_TIME"],
    ["date,a\n2016-01-01,\n", "SERIES_NOT_A_NUMBER"],
    ["date,a\n2016-01-01,NaN\n", "SERIES_NOT_A_NUMBER"],
    ["date,a\n2016-01-01,inf\n", "SERIES_NOT_A_NUMBER"],
    ["date,a\n2016-01-02,1\n2016-01-01,2\n", "SERIES_UNSORTED"],
    ["date,a\n2016-01-02,1\n2016-01-02,2\n", "SERIES_UNSORTED"],
    ["date,a\n2016-01-01,1,2\n", "CSV_BAD_FILE"],
    ['date,a\n2016-01-01,"1\n', "CSV_BAD_FILE"],
  ])("refuses %j", (text, code) => {
    expect(() => readSeriesTable(text, "x.csv")).toThrow(expect.objectContaining({ code }));
  });

  it("reads back every date it could have written", () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date("2099-12-31"), noInvalidDate: true }), (date) => {
        const ms = Math.floor(date.getTime() / 1000) * 1000;
        const text = new Date(ms).toISOString().slice(0, 19);
        expect(parseTimestamp(text)).toEqual({ ms, form: "iso" });
        expect(parseTimestamp(text.replace("T", " "))?.ms).toBe(ms);
      }),
    );
  });
});

describe("splits", () => {
  it("are those of the benchmarks", () => {
    expect(monthBorders(24)(17_420)).toEqual({
      train: [0, 8_640],
      validation: [8_640, 11_520],
      test: [11_520, 14_400],
    });
    expect(shareBorders(7_588)).toEqual({
      train: [0, 5_311],
      validation: [5_311, 6_071],
      test: [6_071, 7_588],
    });
  });

  it("scale by the training rows only", () => {
    const calm = hours(64, (row, channel) => (channel === 0 ? row % 2 : 5));
    const wild = hours(64, (row, channel) => (row >= 32 ? 1e6 : channel === 0 ? row % 2 : 5));
    const [a, b] = [calm, wild].map((table) => fitScaling(table, [0, 32]));
    expect(a).toEqual(b);
    expect([...(a?.mean ?? [])]).toEqual([0.5, 5]);
    expect([...(a?.deviation ?? [])]).toEqual([0.5, 1]); // a channel that does not change is only centred
  });
});

describe("windows", () => {
  const sizes = { contextLength: 6, predictionLength: 4 };

  it("start before the border, so that the first horizon starts at it", () => {
    const from = source(hours(100, (row) => row));
    const { mean, deviation } = fitScaling(from.table, from.borders.train);
    const back = (value: number) => Math.abs(Math.round(value * (deviation[0] ?? 1) + (mean[0] ?? 0)));
    const lengths = { train: 70 - 10 + 1, validation: 10 - 4 + 1, test: 20 - 4 + 1 };
    const firsts = { train: 6, validation: 70, test: 80 };
    for (const split of ["train", "validation", "test"] as const) {
      const windows = openWindows(from, split, sizes);
      expect(windows.length).toBe(lengths[split]);
      const { past, future, futureMarks } = windows.batch([0, windows.length - 1], 2);
      expect(past.shape).toEqual([2, 6, 2]);
      expect(futureMarks.shape).toEqual([2, 6, 4]);
      expect(back(future.data[0] as number)).toBe(firsts[split]);
      expect(back(past.data[0] as number)).toBe(firsts[split] - 6);
      expect(back(future.data.at(-1) as number)).toBe(from.borders[split][1] - 1);
    }
  });

  it("refuse a split that holds none", () => {
    const short = source(hours(12, (row) => row));
    expect(() => openWindows(short, "test", sizes)).toThrow(
      expect.objectContaining({ code: "SERIES_TOO_SHORT" }),
    );
  });
});

it("marks of a moment are where it lies in day, week, month and year", () => {
  const friday = Date.UTC(2016, 6, 1, 23); // day 183 of a leap year
  const want = [0.5, 4 / 6 - 0.5, -0.5, 182 / 365 - 0.5];
  [...timeMarks([friday], "h")].forEach((mark, i) => {
    expect(mark).toBeCloseTo(want[i] ?? Number.NaN, 6);
  });
  expect(timeMarks([friday], "w")[1]).toBeCloseTo(25 / 52 - 0.5, 6); // week 26
  for (const frequency of ["a", "m", "w", "d", "h", "t"] as const)
    expect(timeMarks([friday, friday], frequency)).toHaveLength(2 * markCount(frequency));
});

it("the procedural series follows from its seed", () => {
  const options = { rows: 400, channels: 3 };
  expect(syntheticSeries({ ...options, seed: 1 })).toEqual(syntheticSeries({ ...options, seed: 1 }));
  expect(syntheticSeries({ ...options, seed: 1 }).values).not.toEqual(
    syntheticSeries({ ...options, seed: 2 }).values,
  );
});

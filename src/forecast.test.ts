/** Forecasting a table from end to end: every method, back-tests, the page, and tables that are too short. */
import { describe, expect, it } from "vitest";
import { writeLongTable } from "./data/series/longTable.ts";
import { finite } from "./evaluate/forecast/forecaster.ts";
import { renderForecastPage } from "./evaluate/forecast/forecastPage.ts";
import { quantileOf, requireErrors } from "./evaluate/forecast/quantiles.ts";
import { forecast, forecastMethods, usualContext } from "./forecast.node.ts";
import { seriesSystems } from "./systems/registry.ts";
import { RandomStream } from "./tensor/random.ts";

const wave = (row: number, period: number): number => 10 + 3 * Math.sin((2 * Math.PI * row) / period);
const start = Date.UTC(2020, 0, 1);
const table = (
  rows: number,
  of: (row: number, series: number) => number = (row, i) => wave(row + i, 12),
): string =>
  writeLongTable(
    ["a", "b"].map((id, i) => ({
      id,
      timesMs: Array.from({ length: rows }, (_, row) => start + row * 3_600_000),
      values: Array.from({ length: rows }, (_, row) => of(row, i)),
    })),
    "iso",
  );
const options = { horizon: 6, season: 12, context: 24, threads: 1 };

it.each([...forecastMethods.keys()])(
  "%s continues series at the right times and on their scale",
  async (method) => {
    const result = await forecast(table(160), "x.csv", { ...options, method, epochs: 1 });
    expect(result.forecast.map(({ id }) => id)).toEqual(["a", "b"]);
    for (const { timesMs, values } of result.forecast) {
      expect(timesMs).toEqual(Array.from({ length: 6 }, (_, i) => start + (160 + i) * 3_600_000));
      for (const value of values) expect(Math.abs(value - 10)).toBeLessThan(8);
    }
  },
  60_000,
);

it("seasonal-naive repeats the season, naive the last row", async () => {
  const result = await forecast(table(60), "x.csv", { ...options, method: "seasonal-naive", backtests: 2 });
  result.forecast[0]?.values.forEach((value, i) => {
    expect(value).toBeCloseTo(wave(60 + i, 12), 4);
  });
  const [own, naive] = result.backtests;
  expect(result.backtests.map(({ method }) => method)).toEqual(["seasonal-naive", "naive"]);
  expect(own?.errors.mae).toBeLessThan(1e-4);
  expect(naive?.errors.mae).toBeGreaterThan(0.5);
});

it.each(["nlinear", "dlinear"])(
  "%s learns a short series that repeats itself, with its jump",
  async (method) => {
    const saw = (row: number) => row % 7;
    const settings = { ...options, horizon: 7, season: 7, context: 14, method };
    const { forecast: made } = await forecast(table(41, saw), "x.csv", settings);
    for (const [i, value] of (made[0]?.values ?? []).entries())
      expect(Math.abs(value - saw(41 + i))).toBeLessThan(0.2);
  },
);

it("back-tests know nothing of the rows that they forecast", async () => {
  const jump = (row: number, i: number) => (row >= 90 ? 1_000 : wave(row + i, 12));
  const run = (of: typeof jump) =>
    forecast(table(96, of), "x.csv", { ...options, method: "nlinear", backtests: 1, epochs: 1 });
  const [calm, jumped] = [await run((row, i) => wave(row + i, 12)), await run(jump)];
  expect(jumped.backtests[0]?.last).toEqual(calm.backtests[0]?.last);
});

it("the same seed gives the same forecast", async () => {
  const run = () => forecast(table(100), "x.csv", { ...options, method: "dlinear", epochs: 1, seed: 4 });
  expect((await run()).forecast).toEqual((await run()).forecast);
});

it("series that do not change are forecast as they are, quantiles too", async () => {
  const settings = { ...options, method: "nlinear", epochs: 1, backtests: 1, quantiles: [0.01, 0.9] };
  const result = await forecast(
    table(80, () => 5),
    "x.csv",
    settings,
  );
  expect(result.table.notices).toHaveLength(2);
  expect(result.backtests[0]?.errors).toMatchObject({ mae: 0, mase: undefined });
  const five = Array(6).fill(5);
  expect(result.forecast.map(({ values }) => values)).toEqual([five, five]);
  expect(result.quantiles.flat().map(({ values }) => values)).toEqual([five, five, five, five]);
});

it.each([0, 0.001, 1e9, 1e-200])("a series of %d beside others stays what it is", async (constant) => {
  const mixed = table(80, (row, i) => (i === 0 ? constant : wave(row, 12) * 100));
  const settings = { ...options, method: "nlinear", epochs: 1, backtests: 2, quantiles: [0.1, 0.9] };
  const { forecast: rows, quantiles, backtests } = await forecast(mixed, "x.csv", settings);
  expect(rows[0]?.values).toEqual(Array(6).fill(constant));
  for (const { values } of quantiles[0] ?? []) expect(values).toEqual(rows[0]?.values);
  for (const { stepErrors } of backtests) for (const own of stepErrors) expect(own).toHaveLength(2); // of b alone
  const alone = mixed.replaceAll(/^a,.*\n/gm, "");
  const { forecast: same, quantiles: bounds } = await forecast(alone, "x.csv", settings);
  expect(rows[1]).toEqual(same[0]);
  expect(quantiles[1]).toEqual(bounds[0]);
});

it("very small values keep their scale", async () => {
  const tiny = table(80, (row, i) => wave(row + i, 12) * 1e-200);
  const large = table(80, (row, i) => wave(row + i, 12));
  const run = async (text: string) =>
    (await forecast(text, "x.csv", { ...options, method: "nlinear", epochs: 2 })).forecast[0]?.values ?? [];
  const [small, wanted] = [await run(tiny), await run(large)];
  for (const [i, value] of small.entries()) expect(value * 1e200).toBeCloseTo(wanted[i] as number, 3);
});

it("the page is self-contained, and the same for the same content", async () => {
  const result = await forecast(table(60), "x.csv", { ...options, method: "naive", backtests: 1 });
  const page = renderForecastPage({ ...result, recipe: "<b>" });
  expect(page).toBe(renderForecastPage({ ...result, recipe: "<b>" }));
  expect(page).toContain("&lt;b&gt;");
  expect(page.match(/<svg/g)).toHaveLength(2);
  expect(page).not.toMatch(/NaN|undefined|https?:\/\/(?!www\.w3\.org)/);
});

it("the page writes times as the table does: days as days", async () => {
  const days = ["2024-01-01", "2024-01-02", "2024-01-03"];
  const text = ["unique_id,ds,y", ...days.map((day, i) => `a,${day},${i}`), ""].join("\n");
  const result = await forecast(text, "x.csv", { horizon: 1, method: "naive", threads: 1 });
  expect(renderForecastPage({ ...result, recipe: "" })).toContain(">2024-01-01 to 2024-01-03<");
});

it("naive methods copy rows as they stand, a season of each series whatever is looked back on", async () => {
  const values = (row: number) => [0, 123456789.25, 1, 8.1][row % 4] as number;
  const short = (season: number, method: string) =>
    forecast(table(9, values), "x.csv", { method, horizon: 4, season, backtests: 1, threads: 1 });
  const seasonal = await short(4, "seasonal-naive");
  expect(seasonal.forecast[0]?.values).toEqual([9, 10, 11, 12].map(values));
  expect(seasonal.context).toBe(4);
  const [errors] = seasonal.backtests.map((one) => one.errors);
  expect(errors).toMatchObject({ mae: 0, smape: 0 });
  expect(writeLongTable(seasonal.forecast, "iso")).toContain(",123456789.25");
  const naive = await short(6, "naive"); // the known rows have no whole season: no seasonal row
  expect(naive.backtests.map(({ method }) => method)).toEqual(["naive"]);
});

it("what is learned keeps the digits that the series' scale leaves", async () => {
  const far = table(60, (row) => 1e9 + (row % 7));
  const { forecast: rows } = await forecast(far, "x.csv", { ...options, method: "nlinear", epochs: 1 });
  const values = rows[0]?.values ?? [];
  expect(new Set(values).size).toBe(6);
  for (const value of values) expect(String(value).length).toBeLessThanOrEqual(18);
});

it("a short table leaves rows to choose weights by", async () => {
  const run = (horizon: number) =>
    forecast(table(12), "x.csv", { method: "nlinear", horizon, season: 12, epochs: 1, threads: 1 });
  expect((await run(3)).context).toBe(6);
  expect((await run(5)).forecast[0]?.values).toHaveLength(5); // learned from whole
});

it("quantiles hold about as many of the rows to come as they say", async () => {
  const stream = RandomStream.from(1, "noise");
  const all = Array.from({ length: 2 }, () => Array.from(stream.normals(460, 2)));
  const cut = table(400, (row, i) => all[i]?.[row] as number);
  const levels = [0.1, 0.5, 0.9];
  const settings = { method: "nlinear", horizon: 60, context: 24, backtests: 4, epochs: 1, threads: 1 };
  const result = await forecast(cut, "x.csv", { ...settings, quantiles: levels });
  const below = levels.map((_, k) => {
    const held = result.forecast.flatMap((_, i) => {
      const bound = result.quantiles[i]?.[k]?.values ?? [];
      return bound.map((value, step) => Number((all[i]?.[400 + step] as number) <= value));
    });
    return held.reduce((a, b) => a + b, 0) / held.length;
  });
  for (const [k, level] of levels.entries())
    expect(Math.abs((below[k] as number) - level)).toBeLessThan(0.15);
  expect(below[0]).toBeLessThan(below[2] as number);
});

it("quantiles need enough errors, and lie between neighbours", async () => {
  expect([0, 0.25, 0.5, 1].map((level) => quantileOf([1, 2, 4], level))).toEqual([1, 1.5, 2, 4]);
  const few = { ...options, method: "naive", backtests: 1, quantiles: [0.01] };
  await expect(forecast(table(60), "x.csv", few)).rejects.toMatchObject({ code: "FORECAST_FEW_ERRORS" });
});

it.each([0.1, 0.9])("the quantile %d needs ten errors", (level) => {
  expect(() => requireErrors([level], 10)).not.toThrow();
  expect(() => requireErrors([level], 9)).toThrow(expect.objectContaining({ code: "FORECAST_FEW_ERRORS" }));
});

it.each([
  ["FORECAST_FEW_ERRORS", table(60), { backtests: 1, quantiles: [0.01] }],
  ["FORECAST_FEW_ERRORS", table(60), { quantiles: [0.5] }],
  ["FORECAST_TOO_LARGE", table(60), { horizon: 100_000, context: 8, quantiles: Array(50).fill(0.5) }],
  ["SERIES_BAD_TIME", table(60).replaceAll(",2020-01-", ",9999-12-"), { horizon: 9_000 }],
] as const)("%s is said before anything is trained", async (code, text, over) => {
  const trained: number[] = [];
  const settings = { ...options, ...over, method: "nlinear", epochs: 1 };
  const work = forecast(text, "x.csv", { ...settings, onEpoch: ({ length }) => trained.push(length) });
  await expect(work).rejects.toMatchObject({ code });
  expect(trained).toEqual([]);
});

it.each([
  { horizon: 0 },
  { horizon: -1 },
  { horizon: 1.5 },
  { horizon: Number.NaN },
  { horizon: 100_001 },
  { season: 0 },
  { season: 2.5 },
  { context: 0 },
  { context: 200_000 },
  { backtests: -1 },
  { epochs: 0 },
  { seed: 0.5 },
  { quantiles: [0.5, 1] },
  { quantiles: [Number.NaN] },
])("a program's %j is refused", async (over) => {
  const [name = ""] = Object.keys(over);
  const settings = { ...options, method: "naive", backtests: 2, ...over };
  await expect(forecast(table(60), "x.csv", settings)).rejects.toMatchObject({
    code: "CONFIG_BAD_VALUE",
    path: expect.stringContaining(`options.${name}`),
    message: expect.stringMatching(/It is an? (integer|number) from/),
  });
});

it("naive methods stop when they are told to", async () => {
  const stop = new AbortController();
  const settings = { ...options, method: "naive", backtests: 5, signal: stop.signal };
  const work = forecast(table(60), "x.csv", settings);
  setTimeout(() => stop.abort(), 0); // between back-tests
  await expect(work).rejects.toMatchObject({ code: "ABORTED" });
  await expect(forecast(table(60), "x.csv", { ...settings, backtests: 0 })).rejects.toMatchObject({
    code: "ABORTED",
  });
});

it.each(["spacetime", "autoformer"])("%s names the rows that it cannot look back on", (id) => {
  const shape = { contextLength: 200_000, predictionLength: 1, channels: 1, frequency: "h" } as const;
  expect(() => seriesSystems.get(id)?.smallConfig(shape)).toThrow(
    expect.objectContaining({ code: "CONFIG_BAD_VALUE", path: "config.contextLength" }),
  );
});

it("looks back on no more rows than a default should, unless told", () => {
  expect(usualContext(400_000, 1, 86_400)).toBe(10_000);
  expect(usualContext(400_000, 90_000, 24)).toBe(10_000);
  expect(usualContext(400, 6, 24)).toBe(48);
});

it("a series that is constant up to rounding has deviation 1, so that others keep their quantiles", async () => {
  const cut = table(60, (row, i) => (i === 0 ? (row < 54 ? 19.99 : 24.99) : Math.sin(row)));
  const settings = {
    method: "naive",
    horizon: 6,
    context: 12,
    backtests: 2,
    quantiles: [0.1, 0.9],
    threads: 1,
  };
  const { quantiles } = await forecast(cut, "x.csv", settings);
  for (const value of quantiles[1]?.[1]?.values ?? []) expect(value).toBeLessThan(100);
});

it("quantiles of a step never cross, however few its own errors are", async () => {
  const settings = { method: "naive", horizon: 24, context: 24, backtests: 5, threads: 1 };
  const falling = table(200, (row) => -row);
  const { quantiles } = await forecast(falling, "x.csv", { ...settings, quantiles: [0.1, 0.5, 0.9] });
  const [low, middle, high] = quantiles[0]?.map(({ values }) => values) ?? [];
  for (let step = 0; step < 24; step++) {
    expect(middle?.[step]).toBeGreaterThanOrEqual(low?.[step] as number);
    expect(high?.[step]).toBeGreaterThanOrEqual(middle?.[step] as number);
  }
});

it("what runs away is refused, and learns nothing", async () => {
  expect(() => finite(Float32Array.of(1, Number.NaN))).toThrow(
    expect.objectContaining({ code: "FORECAST_NOT_FINITE" }),
  );
});

describe("refuses", () => {
  it.each([
    [30, { method: "dlinear", context: 31 }, "SERIES_TOO_SHORT"],
    [28, { method: "dlinear" }, "SERIES_TOO_SHORT"],
    [30, { method: "naive", backtests: 5 }, "SERIES_TOO_SHORT"], // none left
    [30, { method: "naive", backtests: 6 }, "SERIES_TOO_SHORT"], // fewer than none
    [20, { method: "seasonal-naive", season: 21 }, "SERIES_TOO_SHORT"],
    [30, { method: "spacetime", context: 5 }, "SERIES_TOO_SHORT"],
    [30, { method: "nothing" }, "FORECAST_UNKNOWN_METHOD"],
  ] as const)("%i rows with %j", async (rows, over, code) => {
    await expect(forecast(table(rows), "x.csv", { ...options, ...over })).rejects.toMatchObject({ code });
  });
});

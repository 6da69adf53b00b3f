/** A page about forecasts: each series with its past, its horizon and its last back-test, and a table of errors. */

import type { LongSeries, LongTable } from "../../data/series/longTable.ts";
import { timeText } from "../../data/series/longTable.ts";
import { renderPage } from "../../regimen/reportPage.ts";
import { escapeHtml, formatNumber } from "../../regimen/runReportChart.ts";
import type { ResultFigure } from "../claim/result.ts";
import { figureColours, figureSvg } from "../pages/figureSvg.ts";
import type { Quantile } from "./quantiles.ts";
import type { Backtest } from "./table.ts";

/** Series that are drawn; a page with thousands helps nobody. */
const drawn = 24;
/** Known rows that are drawn, in horizons. */
const horizonsBefore = 6;

type Line = ResultFigure["series"][number];

/** One series as a figure over its rows, counted from its first one; the page names the lines. */
export function seriesFigure(
  known: LongSeries,
  forecast: LongSeries,
  tested: LongSeries | undefined,
  quantiles: readonly Quantile[] = [],
): ResultFigure {
  const horizon = forecast.values.length;
  const count = known.values.length;
  const from = Math.max(0, count - Math.max(horizonsBefore * horizon, 48));
  const line = (values: readonly number[], first: number): Line => ({
    name: "",
    line: true,
    points: values.map((value, i) => [first + i, value] as [number, number]),
  });
  return {
    title: known.id.slice(0, 60) || "(no id)",
    x: { label: "row", scale: "linear" },
    y: { label: "y", scale: "linear" },
    series: [
      line(known.values.slice(from), from),
      line(forecast.values, count),
      ...(tested ? [line(tested.values, count - horizon)] : []),
      ...outer(quantiles).map(({ values }) => line(values, count)),
    ],
  };
}

/** The lowest and the highest. */
const outer = (quantiles: readonly Quantile[]): readonly Quantile[] =>
  quantiles.filter((_, i) => i === 0 || i === quantiles.length - 1);

/** What the colours of every figure mean. */
function legend(names: readonly string[]): string {
  const marks = names.map((name, i) => `<b style="color:${figureColours[i]}">— ${name}</b>`);
  return `<p>${marks.join(" &nbsp; ")}</p>`;
}

function errorTable(backtests: readonly Backtest[]): string {
  const rows = backtests.map(({ method, errors: { mae, rmse, smape, mase } }) => {
    const cells = [mae, rmse, smape, mase].map((value) => (value === undefined ? "–" : formatNumber(value)));
    return `<tr><td>${escapeHtml(method)}</td>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  return `<table><thead><tr><th>method</th><th>MAE</th><th>RMSE</th><th>sMAPE</th><th>MASE</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

export interface ForecastPageContent {
  readonly table: LongTable;
  readonly method: string;
  readonly forecast: readonly LongSeries[];
  readonly backtests: readonly Backtest[];
  readonly quantiles: readonly (readonly Quantile[])[];
  /** How it was made: options in a line. */
  readonly recipe: string;
}

/** The page, self-contained; the same content gives the same bytes. */
export function renderForecastPage({
  table,
  method,
  forecast,
  backtests,
  quantiles,
  recipe,
}: ForecastPageContent): string {
  const own = backtests.find((one) => one.method === method);
  const figures = table.series.slice(0, drawn).map((known, i) => {
    const svg = figureSvg(seriesFigure(known, forecast[i] as LongSeries, own?.last[i], quantiles[i])); // one per series
    const ends = [known.timesMs[0] ?? 0, known.timesMs.at(-1) ?? 0];
    const isWholeDay = ends.every((ms) => ms % 86_400_000 === 0);
    const told = ends.map((ms) => timeText(ms, table.form, isWholeDay));
    return `<figure>${svg}<figcaption>${told.join(" to ")}</figcaption></figure>`;
  });
  const bounds = outer(quantiles[0] ?? []).map(({ level }) => `quantile ${level}`);
  const rest = table.series.length - drawn;
  return renderPage(`Forecast: ${method}`, [
    `<h1>Forecast: ${escapeHtml(method)}</h1><p>${escapeHtml(recipe)}</p>`,
    ...(backtests.length > 0 ? [`<h2>Back-tests</h2>${errorTable(backtests)}`] : []),
    `<h2>Series</h2>${legend(["known", "forecast", ...(own ? ["last back-test"] : []), ...bounds])}<div class="cards">${figures.join("")}</div>`,
    ...(rest > 0 ? [`<p>${rest} more series are in the table.</p>`] : []),
  ]);
}

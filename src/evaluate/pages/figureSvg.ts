/** A figure of a result as a standalone SVG: the same data give the same bytes. Readable on light and dark pages. */
import { escapeHtml, formatTicks, linearTicks, thin } from "../../regimen/runReportChart.ts";
import type { ResultFigure } from "../claim/result.ts";

const width = 480;
const height = 300;
const plot = { left: 62, right: 16, top: 34, bottom: 44 };
/** Colours of a figure's series, in order. */
export const figureColours = ["#3b82c4", "#d97a2b", "#3f9d63", "#b0559b", "#8a8f2e", "#6b7280"];
type Axis = ResultFigure["x"];

/** From values to pixels along one axis, with round ticks. */
interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

const round = (value: number): number => Number(value.toFixed(1));

/** 1, 2 and 5 times powers of ten within bounds; a linear axis's ticks when there are fewer than three. */
function logTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const factor of [1, 2, 5]) ticks.push(Number((factor * 10 ** power).toPrecision(3)));
  const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return inside.length >= 3 ? inside : linearTicks(low, high, 6).filter((tick) => tick > 0);
}

function scaleOf(values: readonly number[], { scale }: Axis, from: number, to: number): Scale {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  if (scale === "log") {
    const [low, high] = most > least * 1.05 ? [least / 1.05, most * 1.05] : [least / 1.5, most * 1.5];
    const at = (value: number) => from + (Math.log(value / low) / Math.log(high / low)) * (to - from);
    return { ticks: logTicks(low, high), at };
  }
  const margin = (most - least) * 0.05 || Math.abs(most) * 0.1 || 1;
  const low = least >= 0 && least - margin < 0 ? 0 : least - margin;
  const high = most + margin;
  return {
    ticks: linearTicks(low, high, 5),
    at: (value) => from + ((value - low) / (high - low)) * (to - from),
  };
}

/** Where the names of the series begin: their left or right end, and the first line. */
interface Legend {
  readonly at: number;
  readonly anchor: "start" | "end";
  readonly top: number;
}

/** About what a name takes. */
const named = { width: 170, height: 15 };

/** The corner that least of what is drawn lies in. */
function legendOf(series: ResultFigure["series"], x: Scale, y: Scale): Legend {
  const [left, right] = [plot.left + 8, width - plot.right - 8];
  const size = named.height * series.length;
  const [top, bottom] = [plot.top + 12, height - plot.bottom - size + 6];
  const corners: Legend[] = [
    { at: right, anchor: "end", top },
    { at: left, anchor: "start", top },
    { at: left, anchor: "start", top: bottom },
    { at: right, anchor: "end", top: bottom },
  ];
  if (series.every(({ name }) => name === "")) return corners[0] as Legend; // nothing is written there
  const drawn = series.flatMap(({ points, line }) =>
    points.flatMap(([a, b], i): [number, number][] => {
      const [nextA, nextB] = points[i + 1] ?? [a, b];
      const parts = line ? 20 : 1;
      return Array.from({ length: parts }, (_, k) => [
        x.at(a) + ((x.at(nextA) - x.at(a)) * k) / parts,
        y.at(b) + ((y.at(nextB) - y.at(b)) * k) / parts,
      ]);
    }),
  );
  const hits = ({ at, anchor, top: first }: Legend): number => {
    const from = anchor === "end" ? at - named.width : at;
    const isIn = ([a, b]: [number, number]) =>
      a >= from && a <= from + named.width && b >= first - named.height && b <= first + size;
    return drawn.filter(isIn).length;
  };
  return corners.reduce((best, corner) => (hits(corner) < hits(best) ? corner : best));
}

function seriesSvg(
  series: ResultFigure["series"][number],
  i: number,
  { x, y, legend }: { readonly x: Scale; readonly y: Scale; readonly legend: Legend },
): string {
  const colour = figureColours[i % figureColours.length] ?? "";
  const all = series.points.map(([a, b]) => ({ x: round(x.at(a)), y: round(y.at(b)) }));
  const points = (series.line ? thin(all) : all).map(({ x: a, y: b }) => [a, b] as const);
  const line = series.line
    ? `<path d="${points.map(([a, b], k) => `${k === 0 ? "M" : "L"}${a} ${b}`).join("")}" fill="none" stroke="${colour}" stroke-width="1.8"/>`
    : "";
  const dots =
    points.length > 24
      ? ""
      : points.map(([a, b]) => `<circle cx="${a}" cy="${b}" r="3" fill="${colour}"/>`).join("");
  const { at, anchor, top } = legend;
  const name = `<text x="${at}" y="${top + named.height * i}" text-anchor="${anchor}" fill="${colour}">${escapeHtml(series.name)}</text>`;
  return `<g>${line}${dots}${name}</g>`;
}

/** The picture of a figure. Values that a log axis cannot show are the caller's mistake. */
export function figureSvg({ title, x: xAxis, y: yAxis, series }: ResultFigure): string {
  const all = series.flatMap(({ points }) => points);
  const [right, bottom] = [width - plot.right, height - plot.bottom];
  const x = scaleOf(
    all.map(([value]) => value),
    xAxis,
    plot.left,
    right,
  );
  const y = scaleOf(
    all.map(([, value]) => value),
    yAxis,
    bottom,
    plot.top,
  );
  const yLabels = formatTicks(y.ticks);
  const yTicks = y.ticks.map((tick, i) => {
    const at = round(y.at(tick));
    return `<path d="M${plot.left} ${at}H${right}" stroke="#88888840"/><text x="${plot.left - 6}" y="${at + 4}" text-anchor="end">${yLabels[i]}</text>`;
  });
  const xLabels = formatTicks(x.ticks);
  const xTicks = x.ticks.map(
    (tick, i) =>
      `<text x="${round(x.at(tick))}" y="${bottom + 17}" text-anchor="middle">${xLabels[i]}</text>`,
  );
  const middle = round((plot.top + bottom) / 2);
  const legend = legendOf(series, x, y);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}" font-family="sans-serif" font-size="12" fill="#777">`,
    `<text x="${plot.left}" y="20" font-size="13" font-weight="bold">${escapeHtml(title)}</text>`,
    ...yTicks,
    `<path d="M${plot.left} ${bottom}H${right}" stroke="#888"/>`,
    ...xTicks,
    `<text x="${round((plot.left + right) / 2)}" y="${height - 8}" text-anchor="middle">${escapeHtml(xAxis.label)}</text>`,
    `<text transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle">${escapeHtml(yAxis.label)}</text>`,
    ...series.map((one, i) => seriesSvg(one, i, { x, y, legend })),
    "</svg>\n",
  ].join("\n");
}

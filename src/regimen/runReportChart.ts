/**
 * Line charts as SVG text, for a static report: ticks, thinning that keeps every spike, smoothing of the raw values. Pure;
 * knows nothing about runs. Colours come from the page as CSS variables.
 */

/** A value of a curve; NaN where the value was not a finite number. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** One line. */
export interface Curve {
  readonly points: readonly Point[];
  /** Any CSS colour. */
  readonly colour: string;
  /** The raw values behind a smoothed line: thin and pale. */
  readonly isFaint?: boolean;
  /** A curve without spikes: fewer points draw it as well. */
  readonly isSmooth?: boolean;
  /** Shown when pointed at. */
  readonly label?: string;
}

export type ScaleKind = "linear" | "log";

/** A named place on the horizontal axis. */
export interface Tick {
  readonly x: number;
  readonly text: string;
}

const width = 400;
const height = 220;
const plot = { left: 52, right: 10, top: 10, bottom: 26 };
const maxBuckets = 180;

/** Text as HTML or SVG, also inside quoted attributes. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  // Control characters are no HTML, lone surrogates no UTF-8.
  return text
    .replace(/(?![\t\n])\p{Cc}|\p{Cs}/gu, "\ufffd")
    .replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** A number for people: four digits, no rubbish like 0.30000000000000004. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "not finite";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

/** A short axis label: 2.5k, 10M. */
function formatTick(value: number, digits: number): string {
  const size = Math.abs(value);
  const units = [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const;
  if (size < 1e12)
    for (const [unit, name] of units)
      if (size >= unit) return `${Number((value / unit).toPrecision(digits))}${name}`;
  const short = Number(value.toPrecision(digits));
  return size !== 0 && (size < 1e-3 || size >= 1e12)
    ? short.toExponential().replace("e+", "e")
    : String(short);
}

/** Labels of an axis: four digits, more where two would be the same. */
export function formatTicks(values: readonly number[]): string[] {
  const count = new Set(values).size;
  const labels = (digits: number) => values.map((value) => formatTick(value, digits));
  let digits = 4;
  while (digits < 15 && new Set(labels(digits)).size < count) digits++;
  return labels(digits);
}

/** Round values that cover low to high, about `count` of them. */
export function linearTicks(low: number, high: number, count: number): number[] {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10) * power;
  if (!(step > 0) || !Number.isFinite(step)) return [low];
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.min(50, last - first + 1) }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

function logTicks(low: number, high: number): number[] {
  if (high < 10 * low) return linearTicks(low, high, 5).filter((tick) => tick > 0);
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = last - first <= 3 ? [1, 2, 5] : [1];
  const stride = Math.max(1, Math.ceil((last - first) / 6));
  const ticks: number[] = [];
  for (let power = first; power <= last; power += stride)
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(3)));
  return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
}

/** How much a curve jumps up and down: about 1 for noise, near 0 for a line that is smooth already. */
export function roughness(points: readonly Point[]): number {
  const values = points.map(({ y }) => y).filter(Number.isFinite);
  const steps = values.slice(1).map((value, i) => value - (values[i] ?? 0));
  const size = steps.reduce((sum, step) => sum + Math.abs(step), 0);
  const bends = steps.slice(1).reduce((sum, step, i) => sum + Math.abs(step - (steps[i] ?? 0)), 0);
  return size === 0 ? 0 : bends / (2 * size);
}

/**
 * Exponential mean of the finite values over about `span` of them, corrected for its start; other values stay NaN.
 */
export function smooth(points: readonly Point[], span: number): Point[] {
  const rest = 1 - 2 / (Math.max(1, span) + 1);
  let [sum, weight] = [0, 0];
  return points.map(({ x, y }) => {
    if (!Number.isFinite(y)) return { x, y: Number.NaN };
    sum = rest * sum + (1 - rest) * y;
    weight = rest * weight + (1 - rest);
    return { x, y: sum / weight };
  });
}

/**
 * At most about 4 points for each of 180 buckets: first, lowest, highest, and a gap where there is one; of a smoothed curve
 * the first and the gap are enough.
 */
export function thin(points: readonly Point[], isSmooth = false): readonly Point[] {
  if (points.length <= maxBuckets) return points;
  const kept: Point[] = [];
  for (let bucket = 0; bucket < maxBuckets; bucket++) {
    const start = Math.floor((bucket * points.length) / maxBuckets);
    const end = Math.floor(((bucket + 1) * points.length) / maxBuckets);
    let [lowest, highest, gap] = [-1, -1, -1];
    for (let i = start; i < end; i++) {
      const y = points[i]?.y ?? Number.NaN;
      if (!Number.isFinite(y)) gap = i;
      else {
        if (lowest < 0 || y < (points[lowest]?.y ?? 0)) lowest = i;
        if (highest < 0 || y > (points[highest]?.y ?? 0)) highest = i;
      }
    }
    const extremes = isSmooth ? [] : [lowest, highest];
    const last = end === points.length ? end - 1 : -1;
    const chosen = new Set([start, ...extremes, gap, last].filter((i) => i >= 0).sort((a, b) => a - b));
    for (const i of chosen) kept.push(points[i] as Point); // i is in range
  }
  return kept;
}

/** Values near the ends of what numbers can hold would overflow in the arithmetic below. */
function withinReach({ x, y }: Point): Point {
  const size = Math.abs(y);
  return { x, y: size > 1e300 ? Number.NaN : size < 1e-300 ? 0 : y };
}

/**
 * A chart of curves; `title` is read to those who do not see it, `places` name the horizontal axis instead of round
 * numbers. Empty text when nothing is finite.
 */
export function renderChart(
  title: string,
  given: readonly Curve[],
  scale: ScaleKind,
  places?: readonly Tick[],
): string {
  const curves = given.map((curve) => ({ ...curve, points: curve.points.map(withinReach) }));
  const all = curves.flatMap(({ points }) => points);
  const isShown = ({ y }: Point) => Number.isFinite(y) && (scale === "linear" || y > 0);
  const shown = all.filter(isShown);
  if (shown.length === 0) return "";
  const [xLow, xHigh] = fromZero(widen(range(shown.map(({ x }) => x))));
  const [yLow, yHigh] =
    scale === "log" ? widenLog(range(shown.map(({ y }) => y))) : pad(range(shown.map(({ y }) => y)));
  const right = width - plot.right;
  const bottom = height - plot.bottom;
  const toX = (x: number) => plot.left + ((x - xLow) / (xHigh - xLow)) * (right - plot.left);
  const fraction = (y: number) =>
    scale === "log"
      ? (Math.log(y) - Math.log(yLow)) / (Math.log(yHigh) - Math.log(yLow))
      : (y - yLow) / (yHigh - yLow);
  const toY = (y: number) => bottom - fraction(y) * (bottom - plot.top);
  const yPlaces = scale === "log" ? logTicks(yLow, yHigh) : linearTicks(yLow, yHigh, 5);
  const yLabels = formatTicks(yPlaces);
  const yTicks = yPlaces.map((tick, i) => {
    const y = round(toY(tick));
    const line = `<path class="grid" d="M${plot.left} ${y}H${right}"/>`;
    return `${line}<text x="${plot.left - 6}" y="${y}" dy=".32em" text-anchor="end">${yLabels[i]}</text>`;
  });
  const xPlaces = linearTicks(xLow, xHigh, 6);
  const xLabels = formatTicks(xPlaces);
  const named = places ?? xPlaces.map((x, i): Tick => ({ x, text: xLabels[i] ?? "" }));
  const xTicks = named.map((tick) => {
    const x = round(toX(tick.x));
    const anchor = x > right - 12 ? "end" : x < plot.left + 8 ? "start" : "middle";
    return `<text x="${x}" y="${bottom + 17}" text-anchor="${anchor}">${escapeHtml(tick.text)}</text>`;
  });
  const lines = curves.map((curve) => renderCurve(curve, isShown, toX, toY));
  const gaps = all.filter(({ x, y }) => !Number.isFinite(y) && x >= xLow && x <= xHigh).slice(0, 200);
  const marks = gaps.map(({ x }) => `M${round(toX(x))} ${bottom}v-6`).join("");
  return [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">`,
    ...yTicks,
    `<path class="axis" d="M${plot.left} ${bottom}H${right}"/>`,
    ...xTicks,
    ...lines,
    marks && `<path class="gap" d="${marks}"><title>not finite</title></path>`,
    "</svg>",
  ].join("");
}

function renderCurve(
  { points, colour, isFaint, isSmooth, label }: Curve,
  isShown: (point: Point) => boolean,
  toX: (x: number) => number,
  toY: (y: number) => number,
): string {
  let path = "";
  let isPenDown = false;
  const finite: string[] = [];
  for (const point of thin(points, isSmooth)) {
    if (isShown(point)) {
      const at = `${round(toX(point.x))} ${round(toY(point.y))}`;
      path += `${isPenDown ? "L" : "M"}${at}`;
      finite.push(at);
    }
    isPenDown = isShown(point);
  }
  const title = label === undefined ? "" : `<title>${escapeHtml(label)}</title>`;
  const kind = isFaint ? "raw" : "line";
  const dots =
    isFaint || finite.length > 24
      ? ""
      : `<path class="dots" d="${finite.map((at) => `M${at}h0`).join("")}"/>`;
  return `<g class="${kind}" stroke="${escapeHtml(colour)}"><path d="${path}">${title}</path>${dots}</g>`;
}

const round = (value: number) => Number(value.toFixed(1));

function range(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}

/** A range that has an extent. */
function widen([low, high]: readonly [number, number]): [number, number] {
  if (high > low) return [low, high];
  const margin = Math.abs(low) * 0.1 || 1;
  return [low - margin, low + margin];
}

/** Steps count from 0 where the curve begins near it. */
const fromZero = ([low, high]: readonly [number, number]): [number, number] => [
  low > 0 && low < 0.2 * high ? 0 : low,
  high,
];

function pad(bounds: readonly [number, number]): [number, number] {
  const [low, high] = widen(bounds);
  const margin = (high - low) * 0.05;
  return [low >= 0 && low - margin < 0 ? 0 : low - margin, high + margin];
}

function widenLog([low, high]: readonly [number, number]): [number, number] {
  return high > low * 1.2 ? [low / 1.1, high * 1.1] : [low / 1.5, high * 1.5];
}

/**
 * A training run as one static HTML page: curves, samples, per-scale metrics, codebook usage, config, provenance. Nothing
 * is loaded and no script runs, so the page can be kept, mailed and opened years later. Pure: data in, text out.
 */
import { toBase64 } from "../formats/base64.ts";
import { isPng } from "../formats/pngChunks.ts";
import { renderPage } from "./reportPage.ts";
import type { MetricsRow } from "./runFolderMetrics.ts";
import {
  type Curve,
  escapeHtml,
  formatNumber,
  type Point,
  renderChart,
  roughness,
  type ScaleKind,
  smooth,
} from "./runReportChart.ts";
import type { Json } from "./trainer.ts";

/** A picture made during the run. */
export interface ReportSample {
  readonly step: number;
  readonly name: string;
  readonly png: Uint8Array;
}

/** One stage of a programme, or the whole run. */
export interface ReportPart {
  readonly name: string;
  /** Rows of the metrics log; may be empty. */
  readonly rows: readonly MetricsRow[];
  /** In the order in which they are shown. */
  readonly samples: readonly ReportSample[];
}

export interface RunReport {
  readonly title: string;
  readonly parts: readonly ReportPart[];
  readonly config: Json;
  readonly provenance: Json;
}

const maxCurves = 200;
const maxScales = 64;
const maxTableRows = 1000;
/** Shorter curves, and those that are smooth already, are drawn as they are. */
const minSmoothed = 40;
const minRoughness = 0.2;

/** Metric names as people read them; others are split at capitals. */
const titles: Readonly<Record<string, string>> = {
  l1: "L1 distance",
  l2: "L2 distance",
  vqLoss: "VQ loss",
  scaleLoss: "Loss per scale",
  scaleAccuracy: "Accuracy per scale",
  codebookUsage: "Codebook usage per scale",
  codebookPerplexity: "Codebook perplexity per scale",
  deadCodes: "Codes no scale uses",
  restarted: "Codes restarted",
  psnr: "PSNR (dB)",
};

/** Metrics that come first, in this order; the others follow by name. */
const first = ["loss", "accuracy", "l1", "l2", "vqLoss", "gradientNorm", "learningRate"];

function titleOf(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/[_.-]+/g, " ")
    .replace(/\b[A-Z](?=[a-z])/g, (letter) => letter.toLowerCase());
  return (
    (Object.hasOwn(titles, name) ? titles[name] : undefined) ?? words.charAt(0).toUpperCase() + words.slice(1)
  );
}

/** A self-contained HTML page of the run. Everything that comes from the run is escaped. Never throws. */
export function renderRunReport({ title, parts, config, provenance }: RunReport): string {
  const body = [
    `<header><h1>${escapeHtml(title)}</h1>${renderSummary(parts)}</header>`,
    parts.some(({ rows }) => rows.length > 0) ? renderSwitch() : "",
    ...parts.map((part) => renderPart(part, parts.length > 1, findNumber(config, "vocabSize"))),
    renderTable("Configuration", config),
    renderTable("Provenance", provenance),
    "<footer>Made by nextx. Thin lines are logged values, thick ones their exponential mean.</footer>",
  ];
  return renderPage(title, body);
}

function renderSummary(parts: readonly ReportPart[]): string {
  const tiles = parts.flatMap(({ name, rows }) => {
    const last = rows.reduce((most, { step }) => Math.max(most, step), 0);
    const loss = [...rows].reverse().find((row) => typeof row.loss === "number")?.loss;
    const prefix = parts.length > 1 ? `${titleOf(name)}: ` : "";
    return [
      [`${prefix}steps`, rows.length === 0 ? "none yet" : last.toLocaleString("en")],
      ...(typeof loss === "number" ? [[`${prefix}last loss`, formatNumber(loss)]] : []),
    ];
  });
  const items = tiles.map(
    ([label = "", value = ""]) => `<div><dt>${escapeHtml(label)}</dt><dd>${value}</dd></div>`,
  );
  return `<dl class="tiles">${items.join("")}</dl>`;
}

const renderSwitch = () =>
  '<fieldset class="switch"><legend>Vertical axis</legend>' +
  '<label><input type="radio" name="axis" id="linear" checked> linear</label>' +
  '<label><input type="radio" name="axis" id="log"> logarithmic</label></fieldset>';

function renderPart(part: ReportPart, isNamed: boolean, vocabSize: number | undefined): string {
  const { scalars, vectors } = collect(part.rows);
  const sections = [
    renderSamples(part.samples),
    renderCards(
      "Curves",
      [...scalars].map(([name, points]) => renderScalar(name, points)),
    ),
    renderCards(
      "Scales",
      [...vectors].map(([name, curves]) => renderVector(name, curves)),
    ),
    renderCodebook(vectors, scalars, vocabSize),
  ].join("");
  const content = sections || '<p class="empty">Nothing has been logged yet.</p>';
  return `<section>${isNamed ? `<h2>${escapeHtml(titleOf(part.name))}</h2>` : ""}${content}</section>`;
}

interface Collected {
  readonly scalars: ReadonlyMap<string, readonly Point[]>;
  /** One list of points per scale. */
  readonly vectors: ReadonlyMap<string, readonly (readonly Point[])[]>;
}

const numberOf = (value: Json | undefined) => (typeof value === "number" ? value : Number.NaN);

/** Curves of the log: numbers, and lists of numbers with one place per scale. Null means "not finite". */
function collect(rows: readonly MetricsRow[]): Collected {
  const scalars = new Map<string, Point[]>();
  const vectors = new Map<string, Point[][]>();
  const names = new Map<string, number>();
  for (const row of rows)
    for (const [name, value] of Object.entries(row)) {
      const length = Array.isArray(value)
        ? value.length
        : typeof value === "number" || value === null
          ? 0
          : -1;
      if (name !== "step") names.set(name, Math.max(names.get(name) ?? -1, length));
    }
  const order = (name: string) => (first.includes(name) ? first.indexOf(name) : first.length);
  const sorted = [...names].sort(([a], [b]) => order(a) - order(b) || (a < b ? -1 : 1));
  for (const [name, length] of sorted.slice(0, maxCurves)) {
    const own = rows.filter((row) => Object.hasOwn(row, name));
    if (length === 0)
      scalars.set(
        name,
        own.map((row) => ({ x: row.step, y: numberOf(row[name]) })),
      );
    if (length < 1 || length > maxScales) continue;
    const at = (row: MetricsRow, i: number) => numberOf((row[name] as readonly Json[] | undefined)?.[i]);
    vectors.set(
      name,
      Array.from({ length }, (_, i) => own.map((row) => ({ x: row.step, y: at(row, i) }))),
    );
  }
  return { scalars, vectors };
}

const lastFinite = (points: readonly Point[]) => [...points].reverse().find(({ y }) => Number.isFinite(y))?.y;

function renderScalar(name: string, points: readonly Point[]): string {
  const span = Math.round(points.length / 40);
  const isSmoothed = points.length >= minSmoothed && roughness(points) >= minRoughness;
  const colour = "var(--accent)";
  const curves: Curve[] = isSmoothed
    ? [
        { points, colour, isFaint: true },
        { points: smooth(points, span), colour, isSmooth: true },
      ]
    : [{ points, colour }];
  return renderCard(name, lastFinite(points), curves, isSmoothed ? `mean over ${span} rows` : "");
}

/** Coarse scales in the first colour, fine ones in the second. */
const scaleColour = (i: number, count: number) =>
  `color-mix(in oklab, var(--fine) ${Math.round((100 * i) / Math.max(1, count - 1))}%, var(--coarse))`;

function renderVector(name: string, scales: readonly (readonly Point[])[]): string {
  const curves = scales.map((points, i): Curve => {
    const span = Math.round(points.length / 40);
    const isSmooth = points.length >= minSmoothed;
    const drawn = isSmooth && roughness(points) >= minRoughness ? smooth(points, span) : points;
    return { points: drawn, colour: scaleColour(i, scales.length), label: `scale ${i + 1}`, isSmooth };
  });
  const legend = scales.map((_, i) => `<i style="background:${scaleColour(i, scales.length)}"></i>`).join("");
  const note = scales.length > 1 ? `<span class="legend">coarse ${legend} fine</span>` : "";
  return renderCard(name, undefined, curves, note, true);
}

function renderCard(
  name: string,
  last: number | undefined,
  curves: readonly Curve[],
  note: string,
  isNoteHtml = false,
): string {
  const points = curves.flatMap((curve) => curve.points);
  const gaps = points.filter(({ y }) => !Number.isFinite(y)).length;
  const title = titleOf(name);
  const chart = (scale: ScaleKind) => renderChart(`${title} over steps`, curves, scale);
  const canLog = points.some(({ y }) => y > 0) && points.every(({ y }) => !(y <= 0));
  const linear = chart("linear");
  const charts = canLog
    ? `<div class="linear">${linear}</div><div class="log">${chart("log")}</div>`
    : linear;
  const value = last === undefined ? "" : `<b>${formatNumber(last)}</b>`;
  const notes = [
    isNoteHtml ? note : escapeHtml(note),
    gaps > 0 ? '<span class="bad">some values not finite</span>' : "",
  ];
  return [
    `<figure><figcaption><span>${escapeHtml(title)}</span>${value}</figcaption>`,
    charts || '<p class="empty">No finite value.</p>',
    `<p class="note">${notes.filter(Boolean).join(" &middot; ")}</p></figure>`,
  ].join("");
}

function renderCards(title: string, cards: readonly string[]): string {
  return cards.length === 0 ? "" : `<h3>${title}</h3><div class="cards">${cards.join("")}</div>`;
}

/** The last word on each scale: used and dead codes, perplexity. */
function renderCodebook(
  vectors: Collected["vectors"],
  scalars: Collected["scalars"],
  vocabSize: number | undefined,
): string {
  const usage = vectors.get("codebookUsage")?.map(lastFinite);
  const perplexity = vectors.get("codebookPerplexity")?.map(lastFinite);
  if (!usage && !perplexity) return "";
  const cell = (value: number | undefined, format = formatNumber) =>
    `<td>${value === undefined ? "&ndash;" : format(value)}</td>`;
  const count = Math.max(usage?.length ?? 0, perplexity?.length ?? 0);
  const rows = Array.from({ length: count }, (_, i) => {
    const share = usage?.[i];
    const used = share !== undefined && vocabSize !== undefined ? Math.round(share * vocabSize) : undefined;
    const percent = Math.min(100, Math.max(0, (share ?? 0) * 100));
    const bar = `<td class="bar"><span style="width:${percent.toFixed(1)}%"></span></td>`;
    const dead = used === undefined ? undefined : (vocabSize ?? 0) - used;
    const shareText = cell(share, (value) => `${(value * 100).toFixed(1)} %`);
    return `<tr><th scope="row">${i + 1}</th>${cell(used)}${cell(dead)}${shareText}${bar}${cell(perplexity?.[i])}</tr>`;
  });
  const head = ["Scale", "Used", "Dead", "Share", "", "Perplexity"].map(
    (name) => `<th scope="col">${name}</th>`,
  );
  const dead = lastFinite(scalars.get("deadCodes") ?? []);
  const size = vocabSize === undefined ? "" : ` of ${vocabSize}`;
  const note =
    dead === undefined ? "" : `<p class="note">Codes no scale uses: ${formatNumber(dead)}${size}.</p>`;
  const table = `<table class="codebook"><thead><tr>${head.join("")}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
  return `<h3>Codebook</h3><div class="scroll">${table}</div>${note}`;
}

function renderSamples(samples: readonly ReportSample[]): string {
  const figures = samples.flatMap(({ step, name, png }) => {
    if (!isPng(png)) return [];
    const text = escapeHtml(`${name}, step ${step.toLocaleString("en")}`);
    return [
      `<figure><img src="data:image/png;base64,${toBase64(png)}" alt="${text}"><figcaption>${text}</figcaption></figure>`,
    ];
  });
  return figures.length === 0 ? "" : `<h3>Samples</h3><div class="samples">${figures.join("")}</div>`;
}

function renderTable(title: string, json: Json): string {
  const rows = flatten(json, "");
  if (rows.length === 0) return "";
  const body = rows.slice(0, maxTableRows).map(([key, value]) => {
    return `<tr><th scope="row">${escapeHtml(key)}</th><td>${escapeHtml(value)}</td></tr>`;
  });
  const more = rows.length > maxTableRows ? `<p class="note">and ${rows.length - maxTableRows} more</p>` : "";
  return `<section><h2>${title}</h2><div class="scroll"><table class="pairs"><tbody>${body.join("")}</tbody></table></div>${more}</section>`;
}

/** Leaves of a tree as path and text; lists of plain values stay one leaf. */
function flatten(json: Json, path: string, depth = 0): [string, string][] {
  if (typeof json !== "object" || json === null)
    return json === null && path === "" ? [] : [[path, String(json)]];
  const isPlainList = Array.isArray(json) && json.every((item) => typeof item !== "object" || item === null);
  if (isPlainList) return [[path, json.join(", ")]];
  if (depth > 20) return [[path, "\u2026"]];
  return Object.entries(json).flatMap(
    ([key, value]) => flatten(value as Json, path === "" ? key : `${path}.${key}`, depth + 1), // JSON holds JSON
  );
}

/** The first number under this name anywhere in a tree. */
function findNumber(json: Json, name: string, depth = 0): number | undefined {
  if (typeof json !== "object" || json === null || depth > 20) return undefined;
  for (const [key, value] of Object.entries(json)) {
    if (key === name && typeof value === "number") return value;
    const found = findNumber(value as Json, name, depth + 1); // JSON holds JSON
    if (found !== undefined) return found;
  }
  return undefined;
}

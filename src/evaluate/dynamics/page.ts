/** Training dynamics as one static HTML page: curves over the scales, error matrices, every number. Pure: data in, text out. */
import { renderPage } from "../../regimen/reportPage.ts";
import { type Curve, escapeHtml, renderChart, type Tick } from "../../regimen/runReportChart.ts";
import {
  allSides,
  type Damage,
  damages,
  fixed,
  type LineValues,
  modelNames,
  sections,
  valueText,
} from "./lines.ts";
import type { DynamicsReport, PastReport } from "./measure.ts";

const heading = "<h1>Training dynamics</h1>";

/** Whether a file is a page of this kind, so that it may be replaced. */
export const isDynamicsPage = (html: string): boolean =>
  html.includes('<meta name="generator" content="nextx">') && html.includes(heading);

const style = `
.models i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.lead { max-width: 75ch; color: var(--muted); margin: 6px 0 10px; }
.numbers td, .numbers thead th, .matrix td, .matrix thead th { text-align: right; white-space: nowrap; }
.numbers th:nth-child(2) { text-align: left; }
.matrix table { width: 100%; border: 0; margin-top: 6px; }
.matrix th, .matrix td { padding: 4px 5px; border: 0; font-size: .8rem; }
.matrix th:first-child, .numbers th:first-child { text-align: left; }
.numbers tr.part th { padding-top: 14px; color: var(--ink); font-weight: 600; }
`;

/** A colour per model, apart from each other for a dozen, readable on light and dark ground. */
export const colourOf = (i: number): string => `oklch(0.63 0.16 ${Math.round(255 + 137.5 * i) % 360})`;
const sideText = (side: number): string => `${side}\u00d7${side}`;

interface Card {
  readonly title: string;
  values(report: DynamicsReport): LineValues;
  /** Drawn thin beside it. */
  beside?(report: DynamicsReport): readonly number[];
  readonly note?: string;
}

const percent = (values: readonly number[]): number[] => values.map((value) => 100 * value);
const inPercent = ({ scales, standardErrors, overall }: PastReport["loss"]): LineValues => ({
  scales: percent(scales),
  standardErrors: percent(standardErrors),
  overall: 100 * overall,
});

const difficultyCards: readonly Card[] = [
  { title: "Loss on the true past, nats per token", values: ({ truePast }) => truePast.loss },
  { title: "Accuracy on the true past, %", values: ({ truePast }) => inPercent(truePast.accuracy) },
  {
    title: "Share of a picture's bits, %",
    values: ({ difficulty }) => ({ scales: percent(difficulty.share), overall: 100 }),
    beside: ({ difficulty }) => percent(difficulty.tokenShare),
    note: "thin: of its tokens",
  },
];

/** Three views of one kind of own past. */
function ownPastCards(name: string, past: (report: DynamicsReport) => PastReport): Card[] {
  return [
    {
      title: `Rise of the loss, ${name}, nats`,
      values: (report) => {
        const [own, truth] = [past(report).loss, report.truePast.loss];
        return {
          scales: own.scales.map((value, s) => value - (truth.scales[s] as number)), // same schedule
          overall: own.overall - truth.overall,
        };
      },
    },
    { title: `Agreement, ${name}, %`, values: (report) => inPercent(past(report).agreement) },
    { title: `KL(true past || own), ${name}, nats`, values: (report) => past(report).divergence },
  ];
}

const ownCards: readonly Card[] = [
  ...ownPastCards("free running", ({ freeRunning }) => freeRunning),
  ...ownPastCards("one step", ({ oneStep }) => oneStep),
];

/** Points, and a thin upright line of one standard error each way. */
function curvesOf(card: Card, report: DynamicsReport, i: number, names: readonly string[], sides: number[]) {
  const values = card.values(report);
  const colour = colourOf(i);
  const place = (s: number) => sides.indexOf(report.sides[s] as number); // one side per scale
  const line = (scales: readonly number[]) => scales.map((y, s) => ({ x: place(s), y }));
  const spreads = (values.standardErrors ?? []).map((error, s): Curve => {
    const y = values.scales[s] as number; // one per scale
    const [x, label] = [place(s), `${names[i]}: \u00b1 ${fixed(error, 3)}`];
    return { points: [y - error, y + error].map((end) => ({ x, y: end })), colour, isFaint: true, label };
  });
  const beside = card.beside && [{ points: line(card.beside(report)), colour, isFaint: true }];
  return [
    ...(beside ?? []),
    ...spreads,
    { points: line(values.scales), colour, label: names[i] ?? "" },
  ] satisfies Curve[];
}

/** One chart as SVG text; empty when nothing is finite. */
function chartOf(card: Card, reports: readonly DynamicsReport[]): string {
  const [sides, names] = [allSides(reports), modelNames(reports)];
  const places = sides.map((side, x): Tick => ({ x, text: sideText(side) }));
  const curves = reports.flatMap((report, i) => curvesOf(card, report, i, names, sides));
  return renderChart(`${card.title}, by scale`, curves, "linear", places);
}

/** A chart by itself, for other pages than ours. */
export interface DynamicsChart {
  readonly title: string;
  readonly note: string;
  readonly svg: string;
}

/** The charts of the page: how hard scales are, and what happens on a model's own past. */
export const dynamicsCharts = (reports: readonly DynamicsReport[]): DynamicsChart[] =>
  [...difficultyCards, ...ownCards].map((card) => ({
    title: card.title,
    note: card.note ?? "",
    svg: chartOf(card, reports),
  }));

function renderCard(card: Card, reports: readonly DynamicsReport[]): string {
  const chart = chartOf(card, reports);
  return [
    `<figure><figcaption><span>${escapeHtml(card.title)}</span></figcaption>`,
    chart || '<p class="empty">No finite value.</p>',
    `<p class="note">${escapeHtml(card.note ?? "")}</p></figure>`,
  ].join("");
}

const renderCards = (cards: readonly Card[], reports: readonly DynamicsReport[]): string =>
  `<div class="cards">${cards.map((card) => renderCard(card, reports)).join("")}</div>`;

/** What reaches later scales, by the corrupted one: the last reaches none. */
const feltRows = ({ rows }: Damage, report: DynamicsReport) => rows(report).slice(0, -1);

/** The largest damage of all models, so that their colours compare. */
function largestOf(damage: Damage, reports: readonly DynamicsReport[]): number {
  const all = reports.flatMap((report) => feltRows(damage, report).flatMap(({ scales }) => scales));
  return all.reduce((most, value) => Math.max(most, Math.abs(value)), 10 ** -damage.digits);
}

/** Rows: the corrupted scale; columns: where it is felt. Deeper colour, more damage. */
function renderMatrix(damage: Damage, report: DynamicsReport, largest: number): string {
  const { title, digits } = damage;
  const felt = report.sides.slice(1);
  const head = felt.map((side) => `<th scope="col">${sideText(side)}</th>`).join("");
  const body = feltRows(damage, report).map(({ scales }, s) => {
    const cells = felt.map((_, i) => {
      const value = scales[i + 1] as number; // one per scale
      if (i < s) return "<td></td>";
      const depth = Math.round((75 * Math.abs(value)) / largest);
      const colour = `color-mix(in oklab, var(--bad) ${depth}%, transparent)`;
      return `<td style="background:${colour}">${fixed(value, digits)}</td>`;
    });
    return `<tr><th scope="row">${sideText(report.sides[s] ?? 0)}</th>${cells.join("")}</tr>`;
  });
  return [
    `<figure class="matrix"><figcaption><span>${escapeHtml(title)}</span></figcaption><div class="scroll">`,
    `<table><thead><tr><th scope="col">corrupted</th>${head}</tr></thead><tbody>${body.join("")}</tbody></table>`,
    '</div><p class="note"></p></figure>',
  ].join("");
}

function renderDamage(reports: readonly DynamicsReport[]): string {
  const names = modelNames(reports);
  const largest = damages.map((damage) => largestOf(damage, reports));
  return reports
    .map((report, i) => {
      const title = reports.length > 1 ? `<h3>${escapeHtml(names[i] ?? "")}</h3>` : "";
      const matrices = damages.map((damage, d) => renderMatrix(damage, report, largest[d] as number)); // one each
      return `${title}<div class="cards">${matrices.join("")}</div>`;
    })
    .join("");
}

/** Everything that the curves show, as numbers. */
function renderNumbers(reports: readonly DynamicsReport[]): string {
  const [sides, names] = [allSides(reports), modelNames(reports)];
  const head = [...sides.map(sideText), "all"].map((text) => `<th scope="col">${text}</th>`).join("");
  const rows = sections.flatMap(({ title, lines }) => [
    `<tr class="part"><th scope="rowgroup" colspan="${sides.length + 3}">${escapeHtml(title)}</th></tr>`,
    ...lines.flatMap((line) =>
      reports.map((report, i) => {
        const values = line.values(report);
        const cells = sides.map((side) => {
          const error = values.standardErrors?.[report.sides.indexOf(side)];
          const hint = error === undefined ? "" : ` title="\u00b1 ${fixed(error, line.digits)}"`;
          return `<td${hint}>${valueText(values, report.sides, side, line.digits)}</td>`;
        });
        const label = i === 0 ? escapeHtml(line.title) : "";
        const model = `<th scope="row">${escapeHtml(names[i] ?? "")}</th>`;
        return `<tr><th scope="row">${label}</th>${model}${cells.join("")}<td>${fixed(values.overall, line.digits)}</td></tr>`;
      }),
    ),
  ]);
  const top = `<thead><tr><th scope="col">by scale</th><th scope="col">model</th>${head}</tr></thead>`;
  return `<div class="scroll"><table class="numbers">${top}<tbody>${rows.join("")}</tbody></table></div>`;
}

function renderModels(reports: readonly DynamicsReport[]): string {
  const names = modelNames(reports);
  const columns = [
    "model",
    "system",
    "sha256",
    "scales",
    "codes",
    "pictures",
    "data",
    "seed",
    "corrupted share",
  ];
  const rows = reports.map((report, i) => {
    const { model, data, count, seed, corruptRate, sides, vocabSize } = report;
    const cells = [
      ...[model.system, model.sha256.slice(0, 12), sides.join(", "), vocabSize, count],
      ...[`${data.set} (${data.split}, version ${data.version}, ${data.size} px)`, seed, corruptRate],
    ];
    const name = `<th scope="row"><i style="background:${colourOf(i)}"></i>${escapeHtml(names[i] ?? "")}</th>`;
    return `<tr>${name}${cells.map((cell) => `<td>${escapeHtml(String(cell))}</td>`).join("")}</tr>`;
  });
  const head = columns.map((column) => `<th scope="col">${column}</th>`).join("");
  return `<div class="scroll"><table class="models"><thead><tr>${head}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

const lead = (text: string): string => `<p class="lead">${text}</p>`;

/** A self-contained page about one or several models; nothing is loaded and no script runs. */
export function renderDynamicsPage(reports: readonly DynamicsReport[]): string {
  return renderPage(
    "Training dynamics",
    [
      `<header>${heading}${renderModels(reports)}</header>`,
      "<h2>How hard each scale is</h2>",
      lead(
        "On the true past, as in teacher-forced training. Where the share of bits lies above the share of tokens, a scale has more to decide per token than the average.",
      ),
      renderCards(difficultyCards, reports),
      "<h2>On its own past</h2>",
      lead(
        "Free running: every earlier scale is drawn from the model itself, without guidance, as when it samples. One step: every earlier scale is drawn given the true scales before it. Agreement is with the model's own choice on the true past; KL is how far its prediction moves. The first scale has no past. A free-running past is another picture of the same class, so its level also holds honest variety: compare models with each other, and with one step. Residual tokens (VAR) complete the true scales before them, so on another past they are no longer the right answer: compare such models only with those of the same tokenizer.",
      ),
      renderCards(ownCards, reports),
      "<h2>How far an error travels</h2>",
      lead(
        "The true past with part of one scale's tokens (row) drawn anew at random: what changes at every later scale (column).",
      ),
      renderDamage(reports),
      "<h2>Numbers</h2>",
      renderNumbers(reports),
      "<footer>Made by nextx. Thin upright lines are one standard error over pictures; models saw the same pictures, so differences between them are surer than that.</footer>",
    ],
    style,
  );
}

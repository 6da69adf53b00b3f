/** Measured training dynamics on a system's page: what changes from model to model, every number, the charts of the lab. */
import { escapeHtml } from "../../regimen/runReportChart.ts";
import {
  allSides,
  damages,
  fixed,
  type Line,
  type LineValues,
  modelNames,
  sections,
  valueText,
} from "../dynamics/lines.ts";
import type { DynamicsReport } from "../dynamics/measure.ts";
import { colourOf, type DynamicsChart, dynamicsCharts } from "../dynamics/page.ts";
import { figureColours } from "./figureSvg.ts";
import { type PagePart, table } from "./markdown.ts";

const sideText = (side: number): string => `${side}x${side}`;

/** Values at all sides, then over everything. */
function cells(values: LineValues, report: DynamicsReport, sides: readonly number[], digits: number) {
  const own = sides.map((side) => valueText(values, report.sides, side, digits));
  return [...own, fixed(values.overall, digits)];
}

/** What a line is worth for every model, and how the last model differs from the one before it: shares in points, else in percent. */
function effectRows({ title, digits, values }: Line, reports: readonly DynamicsReport[]): string[][] {
  const [sides, names] = [allSides(reports), modelNames(reports)];
  const rows = reports.map((report, i) => [
    i === 0 ? title : "",
    names[i] ?? "",
    ...cells(values(report), report, sides, digits),
  ]);
  const [before, last] = [reports.at(-2), reports.at(-1)];
  if (before === undefined || last === undefined) return rows;
  const [a, b] = [values(before), values(last)];
  const isShare = title.endsWith("%");
  const change = (from = 0, to = Number.NaN) => {
    const value = isShare ? to - from : (100 * (to - from)) / from;
    return Number.isFinite(value)
      ? `${value > 0 ? "+" : ""}${fixed(value, 1)}${isShare ? "" : " %"}`
      : "\u2013";
  };
  const at = ({ scales }: LineValues, report: DynamicsReport, side: number) =>
    scales[report.sides.indexOf(side)];
  const changes = sides.map((side) => change(at(a, before, side), at(b, last, side)));
  return [...rows, ["", `${names.at(-1)} against ${names.at(-2)}`, ...changes, change(a.overall, b.overall)]];
}

/** The quantities in which refinement shows first: one step on its own past, and the price on the true one. */
function effectLines(): Line[] {
  const lines = (title: string) => sections.find((section) => section.title.startsWith(title))?.lines ?? [];
  const named = (title: string, word: string) =>
    lines(title)
      .filter((line) => line.title.includes(word))
      .map((line) => ({ ...line, title: `${title}: ${line.title}` }));
  return [...named("One step", "KL"), ...named("One step", "agreement"), ...named("True past", "loss")];
}

function numberRows(reports: readonly DynamicsReport[]): string[][] {
  const [sides, names] = [allSides(reports), modelNames(reports)];
  return sections.flatMap(({ title, lines }) =>
    lines.flatMap((line) =>
      reports.map((report, i) => [
        i === 0 ? `${title}: ${line.title}` : "",
        names[i] ?? "",
        ...cells(line.values(report), report, sides, line.digits),
      ]),
    ),
  );
}

/** What the first damage, the divergence, is at every scale after one was corrupted. */
function damageRows(reports: readonly DynamicsReport[]): string[][] {
  const [sides, names] = [allSides(reports), modelNames(reports)];
  const [divergence] = damages;
  return reports.flatMap((report, i) =>
    (divergence?.rows(report) ?? []).slice(0, -1).map((values, s) => {
      const felt = sides.map((side) => {
        const at = report.sides.indexOf(side);
        return at > s ? valueText(values, report.sides, side, divergence?.digits ?? 3) : "";
      });
      return [s === 0 ? (names[i] ?? "") : "", sideText(report.sides[s] ?? 0), ...felt];
    }),
  );
}

/** Style of charts outside the lab's page; readable on light and dark ground. */
const chartStyle =
  "text{font:11px sans-serif;fill:#777}.title{font-size:13px;font-weight:bold}.grid{stroke:#88888840}.axis{stroke:#888}" +
  "g path{fill:none;stroke-linejoin:round;stroke-linecap:round}.raw path{stroke-width:1;opacity:.32}" +
  ".line path{stroke-width:1.8}.line .dots{stroke-width:5}";

/** Colours that renderers outside browsers know too. */
const fileColour = (i: number): string => figureColours[i] ?? colourOf(i);

/** A chart of the lab as a file of its own, with its title and the models' names. */
function standaloneChart({ title, note, svg }: DynamicsChart, names: readonly string[]): string {
  const [, box = "", inside = ""] = /^<svg viewBox="0 0 ([\d ]+)"[^>]*>(.*)<\/svg>$/s.exec(svg) ?? [];
  const drawn = names.reduce((text, _, i) => text.replaceAll(colourOf(i), fileColour(i)), inside);
  const [width = 0, height = 0] = box.split(" ").map(Number);
  const top = 24 + 14 * names.length;
  const legend = names.map(
    (name, i) =>
      `<circle cx="10" cy="${30 + 14 * i - top}" r="4" fill="${fileColour(i)}"/><text x="20" y="${34 + 14 * i - top}">${escapeHtml(name)}</text>`,
  );
  const heading = `${title}${note ? ` (${note})` : ""}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height + top}" viewBox="0 ${-top} ${width} ${height + top}" role="img" aria-label="${escapeHtml(title)}">`,
    `<style>${chartStyle}</style>`,
    `<text class="title" x="6" y="${14 - top}">${escapeHtml(heading)}</text>`,
    ...legend,
    drawn,
    "</svg>\n",
  ].join("\n");
}

/** What was measured, and the command that does it again. */
function introduction(reports: readonly DynamicsReport[], id: string): string {
  const [first] = reports;
  if (first === undefined) return "";
  const { data, count, seed, corruptRate, runtime } = first;
  const models = reports.map(({ model }) => model.name).join(" ");
  return (
    `\`nextx dynamics ${models} --count ${count} --seed ${seed} --corrupt-rate ${corruptRate}\`: ${count} pictures of ${data.set} ` +
    `(${data.split}, ${data.size} px), the same for all models; ${runtime}. ` +
    `[How to read it](../../src/systems/${id}/README.md#training-dynamics-reading-nextx-dynamics).`
  );
}

/** The part about training dynamics; nothing where none were measured. */
export function dynamicsPart(id: string, reports: readonly DynamicsReport[]): PagePart {
  const [first] = reports;
  if (first === undefined) return { lines: [], files: [] };
  const names = modelNames(reports);
  const sides = allSides(reports).map(sideText);
  const charts = dynamicsCharts(reports).filter(({ svg }) => svg !== "");
  const files = charts.map(
    (chart, i) => [`systems/${id}-dynamics-${i + 1}.svg`, standaloneChart(chart, names)] as const,
  );
  const pictures = files.map(([path], i) => `![${charts[i]?.title ?? ""}](${path.replace("systems/", "")})`);
  const lines = [
    "## Training dynamics",
    "",
    introduction(reports, id),
    "",
    "What changes from model to model, by scale. One step: every earlier scale is drawn from the model's own prediction given the true scales before it.",
    "",
    ...table(
      ["", "model", ...sides, "all"],
      effectLines().flatMap((line) => effectRows(line, reports)),
    ),
    "",
    ...pictures,
    "",
    "Every number, means over the pictures:",
    "",
    ...table(["", "model", ...sides, "all"], numberRows(reports)),
    "",
    `How far an error travels: KL(true past || corrupted) in nats where each token of one scale (rows) was drawn anew with probability ${first.corruptRate}. Of a scale with n tokens a share of ${1 - first.corruptRate}^n of the pictures stays as it is, so rows do not compare with each other: compare models, and columns of a row.`,
    "",
    ...table(["model", "corrupted", ...sides], damageRows(reports)),
    "",
  ];
  return { lines, files };
}

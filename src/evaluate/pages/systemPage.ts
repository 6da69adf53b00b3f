/**
 * The page of one system and the table of all, as Markdown and SVG, from committed results and model cards: no number is
 * written by hand, and the same inputs give the same bytes.
 */
import type { Measure, Result, ResultFigure } from "../claim/result.ts";
import { quantities, type Target } from "../claim/target.ts";
import type { DynamicsReport } from "../dynamics/measure.ts";
import { dynamicsPart } from "./dynamicsPart.ts";
import { figureSvg } from "./figureSvg.ts";
import { type PagePart, table } from "./markdown.ts";

/** What a shipped model's card gives to the page. */
export interface PageModel {
  readonly name: string;
  readonly title: string;
  readonly data: string;
  readonly licence: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly command: string;
  readonly stages: Readonly<
    Record<
      string,
      {
        readonly steps: number;
        readonly heldOut: Readonly<Record<string, unknown>>;
        readonly loss: readonly (readonly [number, number])[];
      }
    >
  >;
}

export interface PageSystem {
  readonly id: string;
  readonly title: string;
  readonly source: string;
  readonly description: string;
  readonly models: readonly PageModel[];
  /** Reference checks of its authors' code that pass in the tests. */
  readonly parityChecks: number;
  /** Lines of its folder and of code that no other system reaches. */
  readonly ownLines: number;
  /** Whether `nextx claim` knows it. */
  readonly hasClaim: boolean;
  readonly result?: Result;
  /** Training dynamics of its models, in the order in which they came about. */
  readonly dynamics?: readonly DynamicsReport[];
}

/** Files by path below docs/. */
export type Pages = ReadonlyMap<string, string>;

const figure = (value: number): string => {
  const text = String(Number(value.toPrecision(4)));
  return Math.abs(value) >= 1e6 ? Number(value.toPrecision(4)).toExponential().replace("e+", "e") : text;
};
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Every number; of three seeds their mean before them. */
function numbersText(values: readonly number[]): string {
  const all = values.map(figure).join(", ");
  return values.length === 3 ? `${figure(mean(values))} (${all})` : all;
}

/** A target in words, with what was reached. */
function targetText(target: Target, { system, baseline }: Measure): string {
  const names = {
    value: "value",
    ratio: "ratio to the baseline",
    relativeChange: "change against the baseline",
  };
  const percent = (value: number) =>
    target.quantity === "relativeChange" ? `${figure(100 * value)} %` : figure(value);
  const { atLeast, atMost } = target;
  const bounds = [
    ...(atLeast === undefined ? [] : [`at least ${percent(atLeast)}`]),
    ...(atMost === undefined ? [] : [`at most ${percent(atMost)}`]),
  ];
  const reached = quantities(target, system, baseline).map(percent).join(", ");
  return `${names[target.quantity]}, ${target.over === "every" ? "each" : "mean"}, ${bounds.join(" and ")} (is ${reached})`;
}

function measureRow(measure: Measure): string[] {
  const { name, unit, system, baseline, baselineName, target, headline, holds } = measure;
  const against = baseline.length === 0 ? "–" : `${numbersText(baseline)} (${baselineName})`;
  return [
    `${name}${unit ? `, ${unit}` : ""}`,
    numbersText(system),
    against,
    target.map((one) => targetText(one, measure)).join("; "),
    `${holds ? "holds" : "misses"}${headline ? "" : " (aside)"}`,
  ];
}

/** Files that a system's figures become. */
function figureFiles(id: string, figures: readonly ResultFigure[], kind: string): [string, string][] {
  return figures.map((one, i) => [`systems/${id}-${kind}-${i + 1}.svg`, figureSvg(one)]);
}

function claimPart({ id, result, hasClaim }: PageSystem): PagePart {
  if (result === undefined) {
    const how = hasClaim ? `Not measured yet: \`npx nextx claim ${id}\` does it.` : "Not measured yet.";
    return { lines: ["## Claim", "", how, ""], files: [] };
  }
  const { protocol, provenance, verdict, measures, notes, figures, pictures, statement } = result;
  const files = figureFiles(id, figures, "claim");
  const features = protocol.features.map(({ name, sha256 }) => `${name} (\`${sha256.slice(0, 12)}\`)`);
  const lines = [
    `## Claim: ${verdict}`,
    "",
    ...(statement ? [statement, ""] : []),
    ...table(["measure", "system", "baseline", "target", "judged"], measures.map(measureRow)),
    "",
    ...files.flatMap(([path], i) => [`![${figures[i]?.title ?? ""}](${path.replace("systems/", "")})`, ""]),
    ...pictures.flatMap(({ file }) => [`![${file}](../../results/${id}/arms/${file})`, `_${file}_`, ""]),
    ...notes.map((note) => `- ${note}`),
    "",
    `Protocol: ${protocol.data} (${protocol.split}), ${protocol.samples} samples, seeds ${protocol.seeds.join(", ")}; features ${features.join(", ") || "none"}; guidance ${protocol.guidance}; ${figure(protocol.computeFlops)} multiply-adds per training.`,
    "",
    `Made by \`${provenance.command}\` at ${provenance.revision.slice(0, 12)} in ${figure(provenance.minutes)} minutes (${provenance.machineClass}). \`npx nextx claim ${id} --check\` says whether it still holds.`,
    "",
  ];
  return { lines, files };
}

/** Held-out numbers that say something alone. */
function heldOutText(heldOut: Readonly<Record<string, unknown>>): string {
  return Object.entries(heldOut)
    .filter(([name, value]) => name !== "step" && typeof value === "number")
    .map(([name, value]) => `${name} ${figure(value as number)}`) // filtered
    .join(", ");
}

function modelPart(id: string, model: PageModel): PagePart {
  const { name, title, data, licence, sha256, sizeBytes, command, stages } = model;
  const drawn = Object.entries(stages).filter(([, { loss }]) => loss.length > 1);
  const figures = drawn.map(
    ([stage, { loss }]): ResultFigure => ({
      title: `${name}: loss of the ${stage}`,
      x: { label: "step", scale: "linear" },
      y: { label: "training loss", scale: "log" },
      series: [{ name: "loss", line: true, points: loss.map(([x, y]) => [x, y] as [number, number]) }],
    }),
  );
  const files = figureFiles(id, figures, name);
  const rows = Object.entries(stages).map(([stage, { steps, heldOut }]) => [
    stage,
    String(steps),
    heldOutText(heldOut) || "–",
  ]);
  const lines = [
    `### ${name}`,
    "",
    `${title}; data ${data}, licence ${licence}, ${(sizeBytes / 2 ** 20).toFixed(1)} MB, SHA-256 \`${sha256.slice(0, 12)}\`.`,
    "",
    `![Samples of ${name}](../../models/${name}/samples.png)`,
    "",
    ...table(["stage", "steps", "held-out"], rows),
    "",
    ...files.flatMap(([path], i) => [`![${figures[i]?.title ?? ""}](${path.replace("systems/", "")})`, ""]),
    `Made by \`${command}\`.`,
    "",
  ];
  return { lines, files };
}

function systemPage(system: PageSystem): (readonly [string, string])[] {
  const { id, title, source, description, models, dynamics = [] } = system;
  const claim = claimPart(system);
  const measured = dynamicsPart(id, dynamics);
  const parts = models.map((model) => modelPart(id, model));
  const lines = [
    `# ${title} (\`${id}\`)`,
    "",
    "_Generated from results and model cards by `node scripts/run.js pages`; not edited by hand._",
    "",
    description,
    "",
    `Source: ${source}. [Parts, and what is official](../../src/systems/${id}/README.md). ${system.parityChecks} checks against numbers of the authors' code pass in the tests.`,
    "",
    ...claim.lines,
    ...measured.lines,
    ...(models.length > 0 ? ["## Models that ship", ""] : []),
    ...parts.flatMap((part) => part.lines),
  ];
  const text = `${lines.join("\n").trimEnd()}\n`;
  const files = [...claim.files, ...measured.files];
  return [[`systems/${id}.md`, text], ...files, ...parts.flatMap((part) => part.files)];
}

function tableRow({ id, title, models, parityChecks, ownLines, result, hasClaim }: PageSystem): string[] {
  const headlines = result?.measures.filter(({ headline }) => headline) ?? [];
  const held = headlines.filter(({ holds }) => holds).length;
  const claim = result
    ? `${result.verdict}: ${held} of ${headlines.length} headline measures hold`
    : hasClaim
      ? "not measured yet"
      : "–";
  return [
    `[\`${id}\`](systems/${id}.md)`,
    title,
    `${parityChecks} checks`,
    claim,
    models.map(({ name }) => name).join(", ") || "–",
    String(ownLines),
  ];
}

/** docs/SYSTEMS.md and everything below docs/systems/. */
export function systemPages(systems: readonly PageSystem[]): Pages {
  const overview = [
    "# Systems",
    "",
    "_Generated from results and model cards by `node scripts/run.js pages`; not edited by hand._",
    "",
    ...table(
      ["id", "system", "parity with the authors' code", "claim", "models", "lines owned"],
      systems.map(tableRow),
    ),
    "",
    "Lines owned: the system's folder and code that no other system reaches, without tests, when the page was made.",
    "",
  ].join("\n");
  return new Map([["SYSTEMS.md", overview], ...systems.flatMap(systemPage)]);
}

/** A table without its last column, which changes with every line of code: for comparing pages. */
export function withoutOwnLines(text: string): string {
  return text.replace(/^(\| \[.*\|) \d+ +\|$/gm, "$1");
}

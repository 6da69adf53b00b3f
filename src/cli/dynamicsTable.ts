/** Training dynamics of one or several models as aligned text, scale by scale. */
import {
  allSides,
  damages,
  fixed,
  type LineValues,
  modelNames,
  sections,
  valueText,
} from "../evaluate/dynamics/lines.ts";
import type { DynamicsReport } from "../evaluate/dynamics/measure.ts";

type Row = readonly string[];

/** Columns of the same width; the first two from the left, the others from the right. */
function align(rows: readonly Row[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}

/** Sections of lines, one row per model; then, per model, what a corrupted scale does to every scale. */
export function dynamicsTable(reports: readonly DynamicsReport[]): string[] {
  const sides = allSides(reports);
  const names = modelNames(reports);
  const cells = (values: LineValues, own: readonly number[], digits: number): Row => [
    ...sides.map((side) => valueText(values, own, side, digits)),
    fixed(values.overall, digits),
  ];
  const empty = sides.map(() => "");
  const rows: Row[] = [["scale", "", ...sides.map((side) => `${side}x${side}`), "all"]];
  for (const section of sections) {
    rows.push(["", "", ...empty, ""], [section.title, "", ...empty, ""]);
    for (const { title, digits, values } of section.lines)
      for (const [i, report] of reports.entries())
        rows.push([
          i === 0 ? `  ${title}` : "",
          names[i] ?? "",
          ...cells(values(report), report.sides, digits),
        ]);
  }
  for (const [i, report] of reports.entries()) {
    const share = `${100 * report.corruptRate} % of one scale's tokens drawn anew`;
    rows.push(["", "", ...empty, ""], [share, names[i] ?? "", ...empty, ""]);
    for (const damage of damages)
      for (const [s, values] of damage.rows(report).slice(0, -1).entries()) {
        const source = `after ${report.sides[s]}x${report.sides[s]}`;
        rows.push([
          s === 0 ? `  ${damage.title}` : "",
          source,
          ...cells(values, report.sides, damage.digits),
        ]);
      }
  }
  return align(rows);
}

/** What was measured, on what. */
export function dynamicsHeading(reports: readonly DynamicsReport[]): string[] {
  const names = modelNames(reports);
  return reports.map(({ model, data, count, seed, sides, vocabSize }, i) => {
    const pictures = `${count} pictures of ${data.set} (${data.split}, version ${data.version}, ${data.size} px)`;
    return `${names[i]} (${model.system}, ${model.sha256.slice(0, 12)}): ${pictures}, seed ${seed}, scales ${sides.join(",")}, ${vocabSize} codes`;
  });
}

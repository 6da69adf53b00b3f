/** Markdown that pages are made of. */

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** A table with columns as wide as their widest cell, as the formatter wants it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cells = [head, ...rows].map((row) => row.map(cell));
  const widths = head.map((_, i) => Math.max(3, ...cells.map((row) => [...(row[i] ?? "")].length)));
  const line = (row: readonly string[]) =>
    `| ${widths.map((size, i) => (row[i] ?? "") + " ".repeat(size - [...(row[i] ?? "")].length)).join(" | ")} |`;
  const [first = [], ...others] = cells;
  return [line(first), line(widths.map((size) => "-".repeat(size))), ...others.map(line)];
}

/** A part of a page: its lines, and the files that they show, by path below docs/. */
export interface PagePart {
  readonly lines: readonly string[];
  readonly files: readonly (readonly [path: string, text: string])[];
}

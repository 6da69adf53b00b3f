/**
 * The metrics log: one JSON object with a `step` per line. A log may end in a torn line or in rubbish after a power cut;
 * reading keeps every whole row and counts the rest.
 */
import type { Json } from "./trainer.ts";

/** One line of the log. Numbers that are not finite are written, and read, as null. */
export interface MetricsRow {
  /** Finished steps when the row was made. */
  readonly step: number;
  readonly [name: string]: Json;
}

export interface ParsedMetrics {
  readonly rows: readonly MetricsRow[];
  /** Lines that were no rows, the torn last one included. */
  readonly badLines: number;
  /** Whether writing the rows again would give the same text. */
  readonly isClean: boolean;
}

/** A line of the log with its line feed. */
export function formatMetricsRow(row: MetricsRow): string {
  return `${JSON.stringify(row)}\n`;
}

/** Rows of a log in their order. Never throws. */
export function parseMetrics(text: string): ParsedMetrics {
  const rows: MetricsRow[] = [];
  const lines = text.split("\n");
  const last = lines.pop() ?? "";
  let badLines = 0;
  for (const line of last === "" ? lines : [...lines, last]) {
    const row = parseRow(line);
    if (row) rows.push(row);
    else badLines++;
  }
  return { rows, badLines, isClean: badLines === 0 && last === "" };
}

function parseRow(line: string): MetricsRow | undefined {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof row !== "object" || row === null || Array.isArray(row) || !("step" in row)) return undefined;
  return Number.isSafeInteger(row.step) && (row.step as number) >= 0 ? (row as MetricsRow) : undefined; // from JSON
}

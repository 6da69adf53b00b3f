/** Label tables: tab-separated text with a head line; each line names a picture's index and class, then more about it. */
import type { NextxError } from "../tensor/errors.ts";

/** What a table says about picture `i`, line `i + 2` of the file. */
export interface LabelTable {
  readonly labels: Uint8Array;
  /** The words behind index and class. */
  readonly rest: readonly (readonly string[])[];
}

/**
 * Reads a table whose lines have `columns` words, all filled.
 * @throws what `fail` makes of a message, for the first bad line or a table without lines
 */
export function parseLabelTable(
  text: string,
  numClasses: number,
  columns: number,
  fail: (message: string) => NextxError,
): LabelTable {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const rows = lines.slice(1).map((line) => line.replace(/\r$/, "").split("\t"));
  if (rows.length === 0) throw fail("The table of labels has no lines.");
  const labels = new Uint8Array(rows.length);
  const rest = rows.map(([index, label, ...words], i) => {
    const isClass = label !== undefined && /^\d{1,3}$/.test(label) && Number(label) < numClasses;
    if (index !== String(i) || !isClass || words.length !== columns - 2 || words.includes("")) {
      throw fail(
        `Line ${i + 2} is not "${i}, a class from 0 to ${numClasses - 1}" and ${columns - 2} more words.`,
      );
    }
    labels[i] = Number(label);
    return words;
  });
  return { labels, rest };
}

/** Nearest names for error messages. */

/** Edits (insert, delete, replace, swap neighbours) between two strings. */
export function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array<number>(b.length).fill(0)]);
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0;
  for (let j = 0; j <= b.length; j++) (rows[0] as number[])[j] = j; // there is a first row
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, at(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = best; // i is a row
    }
  }
  return at(a.length, b.length);
}

/** The known name nearest to `name`, when it is near enough to be meant. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let [best, found] = [Math.max(2, Math.ceil(name.length / 3)) + 1, undefined as string | undefined];
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < best) [best, found] = [distance, candidate];
  }
  return found;
}

/** Names that a hint lists at most. */
const listed = 20;

/** "Did you mean X?" or the list of what there is. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== undefined) return `Did you mean "${near}"?`;
  if (known.length === 0) return "There is none.";
  const rest = known.length - listed;
  return rest > 1
    ? `There is ${known.slice(0, listed).join(", ")} and ${rest} more.`
    : `There is ${known.join(", ")}.`;
}

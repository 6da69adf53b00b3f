/** A curve in one line of text. */

const bars = "▁▂▃▄▅▆▇█";

/** The last `width` values, from the least to the largest of them; empty for none. */
export function sparkline(values: readonly number[], width = 24): string {
  const shown = values.slice(-width);
  const [least, most] = [Math.min(...shown), Math.max(...shown)];
  const level = (value: number) =>
    most > least ? Math.round(((value - least) / (most - least)) * (bars.length - 1)) : 0;
  return shown.map((value) => bars[level(value)] ?? "").join("");
}

/** Means of equal stretches: at most `points` values. */
export function thinned(values: readonly number[], points: number): number[] {
  const count = Math.min(points, values.length);
  return Array.from({ length: count }, (_, i) => {
    const part = values.slice(
      Math.floor((i * values.length) / count),
      Math.floor(((i + 1) * values.length) / count),
    );
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

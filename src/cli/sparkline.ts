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

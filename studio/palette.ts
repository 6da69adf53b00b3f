/** Colours of lines, readable on light and dark. Six hexadecimal digits each, so that two more make one pale. */

const runs = ["#4f63f5", "#e0653a", "#2fa37c", "#b45bd6", "#a67c00", "#3594c9", "#d6487f", "#7d8f35"];

/** Colour of a run among others. */
export const runColour = (index: number): string => runs[index % runs.length] as string; // in range

const [coarse, fine] = [
  [200, 105, 10],
  [61, 90, 254],
];

/** Coarse scales in the first colour, fine ones in the second. */
export function scaleColour(index: number, count: number): string {
  const part = count > 1 ? index / (count - 1) : 1;
  const mixed = coarse?.map((from, i) => Math.round(from + part * ((fine?.[i] ?? 0) - from))) ?? [];
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

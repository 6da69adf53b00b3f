/** Long lists of numbers made short, for rows and terminals. */

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

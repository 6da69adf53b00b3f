/** Scale sides of VAR's published models by the side of their pictures in pixels. Source: VAR `utils/arg_util.py` (code). */
export const publishedSides = {
  256: [1, 2, 3, 4, 5, 6, 8, 10, 13, 16],
  512: [1, 2, 3, 4, 6, 9, 13, 18, 24, 32],
  1024: [1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64],
} as const satisfies Readonly<Record<number, readonly number[]>>;

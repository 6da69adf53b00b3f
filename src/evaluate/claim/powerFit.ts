/** A power law y = c x^b, fitted by least squares to logarithms. */
import { NextxError } from "../../tensor/errors.ts";

export interface PowerFit {
  /** b. */
  readonly exponent: number;
  /** Standard error of b from the residuals; 0 for two points. */
  readonly standardError: number;
  /** Pearson correlation of the logarithms. */
  readonly correlation: number;
  /** c. */
  readonly factor: number;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Of at least two points with different x, all above 0. @throws NextxError CLAIM_BAD_FIT */
export function powerFit(x: readonly number[], y: readonly number[]): PowerFit {
  const isGood = x.length === y.length && new Set(x).size >= 2 && [...x, ...y].every((value) => value > 0);
  if (!isGood)
    throw new NextxError(
      "CLAIM_BAD_FIT",
      "A power law needs two points or more, all above 0, at different x.",
    );
  const [u, v] = [x.map(Math.log), y.map(Math.log)];
  const [mu, mv] = [mean(u), mean(v)];
  const sum = (term: (du: number, dv: number) => number) =>
    u.reduce((total, value, i) => total + term(value - mu, (v[i] as number) - mv), 0); // same length
  const [uu, uv, vv] = [sum((a) => a * a), sum((a, b) => a * b), sum((_, b) => b * b)];
  const exponent = uv / uu;
  const residual = Math.max(0, vv - exponent * uv);
  return {
    exponent,
    standardError: x.length > 2 ? Math.sqrt(residual / (x.length - 2) / uu) : 0,
    correlation: vv === 0 ? 0 : uv / Math.sqrt(uu * vv),
    factor: Math.exp(mv - exponent * mu),
  };
}

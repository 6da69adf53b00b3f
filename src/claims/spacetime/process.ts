/** Autoregressive processes with known coefficients: y_t = sum_i phi_i y_(t-i) + noise. */
import type { SeriesSource } from "../../data/series/windows.ts";
import { RandomStream } from "../../tensor/random.ts";

/** Pairs of conjugate roots. */
export interface Roots {
  readonly radius: number;
  readonly angles: readonly number[];
}

/** Coefficients phi_1, phi_2, ... of a process with these roots. */
export function coefficients({ radius, angles }: Roots): number[] {
  let polynomial = [1];
  for (const angle of angles) {
    const factor = [1, -2 * radius * Math.cos(angle), radius * radius];
    const product = new Array<number>(polynomial.length + 2).fill(0);
    for (const [i, a] of polynomial.entries())
      for (const [j, b] of factor.entries()) product[i + j] = (product[i + j] ?? 0) + a * b;
    polynomial = product;
  }
  return polynomial.slice(1).map((value) => -value);
}

/** The next values when nothing new happens: what is best to expect after `past`, `steps` of them. */
export function expected(phi: readonly number[], past: ArrayLike<number>, steps: number): Float64Array {
  const all = Float64Array.from({ length: past.length + steps }, (_, i) => past[i] ?? 0);
  for (let t = past.length; t < all.length; t++)
    all[t] = phi.reduce((sum, weight, i) => sum + weight * (all[t - 1 - i] ?? 0), 0);
  return all.subarray(past.length);
}

/** Coefficients of an autoregression of `order` from a series around zero: Yule and Walker's equations, by Levinson and Durbin. */
export function yuleWalker(values: ArrayLike<number>, order: number): number[] {
  const covariance = Array.from({ length: order + 1 }, (_, lag) => {
    let sum = 0;
    for (let t = lag; t < values.length; t++) sum += (values[t] as number) * (values[t - lag] as number); // in range
    return sum / values.length;
  });
  const at = (lag: number) => covariance[lag] as number; // up to `order`
  let [phi, noise]: [number[], number] = [[], at(0)];
  for (let lag = 1; lag <= order; lag++) {
    const reflection = phi.reduce((rest, weight, i) => rest - weight * at(lag - 1 - i), at(lag)) / noise;
    const known = phi;
    phi = [...known.map((weight, i) => weight - reflection * (known[lag - 2 - i] as number)), reflection]; // lag - 1 of them
    noise *= 1 - reflection ** 2;
  }
  return phi;
}

/** Rows of the process after 500 that are thrown away, of deviation 1. */
export function simulate(phi: readonly number[], rows: number, stream: RandomStream): Float32Array {
  const start = 500;
  const all = new Float64Array(start + rows);
  for (let t = 0; t < all.length; t++)
    all[t] = phi.reduce((sum, weight, i) => sum + weight * (all[t - 1 - i] ?? 0), stream.normal());
  const kept = all.subarray(start);
  const deviation = Math.sqrt(kept.reduce((sum, value) => sum + value * value, 0) / rows);
  return Float32Array.from(kept, (value) => value / deviation);
}

/** A process as a data set of one channel: 60 % to train on, 20 % to choose, 20 % to test. */
export function processSource(phi: readonly number[], rows: number, seed: number): SeriesSource {
  const start = Date.UTC(2020, 0, 1);
  const [train, validation] = [Math.floor(0.6 * rows), Math.floor(0.8 * rows)];
  return {
    ...{ id: `ar-${phi.length}-${seed}`, version: "1", frequency: "h", season: 1 },
    table: {
      channels: ["y"],
      timesMs: Float64Array.from({ length: rows }, (_, i) => start + i * 3_600_000),
      values: simulate(phi, rows, RandomStream.from(seed, "claim/process")),
    },
    borders: { train: [0, train], validation: [train, validation], test: [validation, rows] },
  };
}

/** Numbers that numpy and JavaScript make alike, so that references need no files. Test-only. */
import type { FeatureSet } from "../featureSet.ts";

/**
 * `length` numbers in [0, 1): x = (1103515245 x + 12345) mod 2^31 from x = seed, divided by 2^31. In python:
 * `for _ in range(n): x = (x * 1103515245 + 12345) % 2**31; out.append(x / 2**31)`.
 */
export function lcg(seed: number, length: number): Float64Array {
  let x = BigInt(seed);
  return Float64Array.from({ length }, () => {
    x = (x * 1103515245n + 12345n) % 2147483648n;
    return Number(x) / 2147483648;
  });
}

/** lcg numbers as features. */
export function lcgFeatures(
  seed: number,
  count: number,
  dims: number,
  change: (value: number, k: number) => number = (value) => value,
): FeatureSet {
  return { data: lcg(seed, count * dims).map((value, i) => change(value, i % dims)), count, dims };
}

/** Generated shapes for tests: fast-check arbitraries with a fixed seed, which a failing property prints. Test-only. */
import fc from "fast-check";
import type { Dim } from "../dims.ts";
import { symbol } from "../dims.ts";

const SEED = 20260101;

/** Runs a property `runs` times; a failure prints seed, path and the shrunk example. */
export function forAll<T>(
  arbitrary: fc.Arbitrary<T>,
  runs: number,
  body: (value: T) => Promise<void> | void,
): Promise<void> {
  return fc.assert(
    fc.asyncProperty(arbitrary, async (value) => body(value)),
    { seed: SEED, numRuns: runs },
  );
}

/** Sizes for named symbols: ordinary ones, all ones, and one run with an empty axis. */
export function sizesOf(symbols: readonly string[], largest = 5): fc.Arbitrary<Record<string, number>[]> {
  const one = fc.record(
    Object.fromEntries(symbols.map((name) => [name, fc.integer({ min: 1, max: largest })])),
  );
  if (symbols.length === 0) return fc.constant([{}]);
  const empty = fc.tuple(one, fc.constantFrom(...symbols)).map(([sizes, name]) => ({ ...sizes, [name]: 0 }));
  const ones = Object.fromEntries(symbols.map((name) => [name, 1]));
  return fc.tuple(one, one, empty).map((runs) => [...runs, ones]);
}

const SYMBOLS = ["A", "B", "C", "D", "E"] as const;

/** Shapes of a rank range: axes are distinct symbols or small numbers, 0 and 1 among them. */
export function shapes(minRank: number, maxRank: number): fc.Arbitrary<Dim[]> {
  return fc
    .integer({ min: minRank, max: maxRank })
    .chain((rank) =>
      fc.tuple(
        ...SYMBOLS.slice(0, rank).map((name) =>
          fc.oneof(
            { weight: 8, arbitrary: fc.constant<Dim>(symbol(name)) },
            { weight: 6, arbitrary: fc.integer({ min: 1, max: rank > 3 ? 2 : 4 }).map((n): Dim => n) },
            { weight: 1, arbitrary: fc.constant<Dim>(0) },
          ),
        ),
      ),
    );
}

/** Two shapes that broadcast: each axis is shared, or 1 on one side, or missing in the shorter shape. */
export function broadcastPairs(maxRank: number): fc.Arbitrary<{ a: Dim[]; b: Dim[] }> {
  const cut = fc.integer({ min: 0, max: maxRank });
  const kinds = (rank: number) =>
    fc.array(fc.constantFrom("both", "a", "b"), { minLength: rank, maxLength: rank });
  return shapes(0, maxRank).chain((shape) =>
    fc.tuple(kinds(shape.length), cut, fc.boolean()).map(([kind, missing, swap]) => {
      const a = shape.map((dim, i) => (kind[i] === "b" ? 1 : dim));
      const b = shape.map((dim, i) => (kind[i] === "a" ? 1 : dim)).slice(Math.min(missing, shape.length));
      return swap ? { a: b, b: a } : { a, b };
    }),
  );
}

/** The symbol names in shapes. */
export function symbolsIn(...list: readonly (readonly Dim[])[]): string[] {
  const names = list
    .flat()
    .filter((dim) => typeof dim !== "number")
    .map(String);
  return [...new Set(names)].sort();
}

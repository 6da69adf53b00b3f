import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Dim } from "./dims.ts";
import * as d from "./dims.ts";

const NAMES = ["B", "L", "a", "a1", "past"] as const;

/** A polynomial as nested arithmetic, so that equal values arise in different ways. */
const dims: fc.Arbitrary<Dim> = fc.letrec<{ dim: Dim }>((tie) => ({
  dim: fc.oneof(
    { maxDepth: 3, depthIdentifier: "dim" },
    fc.integer({ min: -3, max: 6 }).map((n): Dim => n),
    fc.constantFrom(...NAMES).map((name): Dim => d.symbol(name)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => d.addDims(a, b)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => d.mulDims(a, b)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => d.subDims(a, b)),
  ),
})).dim;

const values = fc
  .tuple(...NAMES.map(() => fc.integer({ min: 0, max: 7 })))
  .map((sizes) => new Map<string, number>(NAMES.map((name, i) => [name, sizes[i] as number])));

const check = <T>(property: fc.IRawProperty<T, false>): void => {
  fc.assert(property, { seed: 20260101, numRuns: 400 });
};

describe("dims are polynomials", () => {
  it("whose arithmetic commutes with evaluation", () => {
    check(
      fc.property(dims, dims, values, (a, b, v) => {
        const [x, y] = [d.evaluateDim(a, v), d.evaluateDim(b, v)];
        expect(d.evaluateDim(d.addDims(a, b), v)).toBe(x + y);
        expect(d.evaluateDim(d.subDims(a, b), v)).toBe(x - y);
        expect(d.evaluateDim(d.mulDims(a, b), v) === x * y).toBe(true); // 0 equals -0
      }),
    );
  });

  it("with one text per polynomial", () => {
    check(
      fc.property(dims, dims, dims, (a, b, c) => {
        const left = d.mulDims(a, d.addDims(b, c));
        const right = d.addDims(d.mulDims(c, a), d.mulDims(b, a));
        expect(String(left)).toBe(String(right));
        expect(d.dimsEqual(left, right)).toBe(true);
        expect(d.dimsEqual(d.addDims(left, 1), right)).toBe(false);
        expect(d.subDims(left, right)).toBe(0);
      }),
    );
  });

  it("divided exactly or not at all", () => {
    check(
      fc.property(dims, dims, values, (a, b, v) => {
        if (b === 0) {
          expect(d.divDims(a, b)).toBeUndefined();
          return;
        }
        const quotient = d.divDims(d.mulDims(a, b), b);
        expect(String(quotient)).toBe(String(a));
        const maybe = d.divDims(a, b);
        if (maybe !== undefined) {
          expect(d.evaluateDim(maybe, v) * d.evaluateDim(b, v) === d.evaluateDim(a, v)).toBe(true);
        }
      }),
    );
    const [B, L] = [d.symbol("B"), d.symbol("L")];
    expect(d.divDims(d.addDims(B, 1), 2)).toBeUndefined();
    expect(d.divDims(d.addDims(d.mulDims(B, L), L), L)).toEqual(d.addDims(B, 1));
    expect(d.divDims(B, L)).toBeUndefined();
    expect(d.divDims(6, B)).toBeUndefined();
    expect(d.divDims(0, B)).toBe(0);
    expect(d.divDims(7, 2)).toBeUndefined();
  });

  it("that name their symbols and refuse to guess them", () => {
    const dim = d.addDims(d.mulDims(d.symbol("B"), d.symbol("L"), 2), d.symbol("B"), 3);
    expect(d.dimSymbols(dim).sort()).toEqual(["B", "L"]);
    expect(String(d.subDims(d.symbol("past"), 3))).toBe("past-3");
    expect(() => d.evaluateDim(dim, new Map([["B", 2]]))).toThrow(
      expect.objectContaining({ code: "DIM_UNBOUND" }),
    );
    for (const bad of ["", "2x", "a b", "a*b", "é"]) {
      expect(() => d.symbol(bad)).toThrow(expect.objectContaining({ code: "DIM_BAD_NAME" }));
    }
  });
});

describe("shapes", () => {
  it("broadcast like numpy, in both orders", () => {
    const B = d.symbol("B");
    expect(d.broadcastShapes([B, 1, 3], [4, 1])).toEqual([B, 4, 3]);
    expect(d.broadcastShapes([], [0, 1])).toEqual([0, 1]);
    expect(d.broadcastShapes([1], [0])).toEqual([0]);
    expect(() => d.broadcastShapes([2], [3])).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    expect(() => d.broadcastShapes([B], [3])).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    expect(() => d.broadcastShapes([0], [2])).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    const sides = fc.array(fc.constantFrom<Dim>(1, 3, B), { maxLength: 4 });
    check(
      fc.property(sides, sides, (a, b) => {
        const join = (x: d.Shape, y: d.Shape) => {
          try {
            return d.shapeText(d.broadcastShapes(x, y));
          } catch {
            return "refused";
          }
        };
        expect(join(a, b)).toBe(join(b, a));
        expect(join(a, a)).toBe(d.shapeText(a));
      }),
    );
  });

  it("know their size and text", () => {
    expect(d.sizeOf([])).toBe(1);
    expect(d.sizeOf([3, 0, d.symbol("B")])).toBe(0);
    expect(d.shapeText([d.symbol("B"), 16, d.mulDims(8, d.symbol("n"))])).toBe("[B, 16, 8*n]");
    expect(d.shapesEqual([d.symbol("B"), 2], [d.symbol("B"), 2])).toBe(true);
    expect(d.shapesEqual([2], [2, 1])).toBe(false);
  });
});

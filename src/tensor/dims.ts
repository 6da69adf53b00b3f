/**
 * Dimensions: a number, or a polynomial over named symbols (`B`, `past + n`, `B * L`).
 * Ranks are static; a symbol gets its value when a program runs. Arithmetic is exact: what cannot be decided is refused.
 */
import { NextxError } from "./errors.ts";

/** One axis length: a non-negative integer or a symbolic expression. */
export type Dim = number | SymbolicDim;
export type Shape = readonly Dim[];

/** A polynomial with integer coefficients; a monomial is its sorted symbol names joined by `*`, the constant is "". */
export class SymbolicDim {
  readonly terms: ReadonlyMap<string, number>;

  constructor(terms: ReadonlyMap<string, number>) {
    this.terms = terms;
  }

  /** Canonical text, equal exactly for equal polynomials. */
  toString(): string {
    const parts = [...this.terms].sort(([a], [b]) => (a < b ? 1 : -1));
    return parts
      .map(([m, c]) => (m === "" ? `${c}` : c === 1 ? m : `${c}*${m}`))
      .join("+")
      .replaceAll("+-", "-");
  }
}

/** A named symbol, for example `symbol("B")`. */
export function symbol(name: string): SymbolicDim {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new NextxError("DIM_BAD_NAME", `"${name}" is not a dimension name (letters, digits, underscore).`);
  }
  return new SymbolicDim(new Map([[name, 1]]));
}

function terms(dim: Dim): Map<string, number> {
  return typeof dim === "number" ? new Map([["", dim]]) : new Map(dim.terms);
}

function normalise(map: Map<string, number>): Dim {
  for (const [monomial, coefficient] of map) if (coefficient === 0) map.delete(monomial);
  if (map.size === 0) return 0;
  if (map.size === 1 && map.has("")) return map.get("") ?? 0;
  return new SymbolicDim(map);
}

function factors(monomial: string): string[] {
  return monomial === "" ? [] : monomial.split("*");
}

export function addDims(...dims: readonly Dim[]): Dim {
  const out = new Map<string, number>();
  for (const dim of dims) for (const [m, c] of terms(dim)) out.set(m, (out.get(m) ?? 0) + c);
  return normalise(out);
}

export function mulDims(...dims: readonly Dim[]): Dim {
  let out = new Map<string, number>([["", 1]]);
  for (const dim of dims) {
    const next = new Map<string, number>();
    for (const [m1, c1] of out) {
      for (const [m2, c2] of terms(dim)) {
        const m = [...factors(m1), ...factors(m2)].sort().join("*");
        next.set(m, (next.get(m) ?? 0) + c1 * c2);
      }
    }
    out = next;
  }
  return normalise(out);
}

export function subDims(a: Dim, b: Dim): Dim {
  return addDims(a, mulDims(b, -1));
}

export function dimsEqual(a: Dim, b: Dim): boolean {
  return typeof a === "number" || typeof b === "number" ? a === b : a.toString() === b.toString();
}

export function shapesEqual(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dimsEqual(dim, b[i] as Dim)); // equal lengths
}

/** Text of a shape such as `[B, 16, 8*n]`. */
export function shapeText(shape: Shape): string {
  return `[${shape.map(String).join(", ")}]`;
}

/** Product of all dims; 1 for a scalar. */
export function sizeOf(shape: Shape): Dim {
  return mulDims(...shape);
}

function divideMonomial(a: string, b: string): string | undefined {
  const rest = factors(a);
  for (const factor of factors(b)) {
    const at = rest.indexOf(factor);
    if (at < 0) return undefined;
    rest.splice(at, 1);
  }
  return rest.join("*");
}

function leading(dim: Dim): [string, number] {
  const sorted = [...terms(dim)].sort(
    ([a], [b]) => factors(b).length - factors(a).length || (a < b ? -1 : 1),
  );
  return sorted[0] ?? ["", 0];
}

/** Exact quotient a / b, or undefined when b does not divide a for every value of the symbols. */
export function divDims(a: Dim, b: Dim): Dim | undefined {
  if (b === 0) return undefined;
  const [monomialB, coefficientB] = leading(b);
  let rest = a;
  let quotient: Dim = 0;
  for (let step = 0; rest !== 0; step++) {
    const [monomialA, coefficientA] = leading(rest);
    const monomial = divideMonomial(monomialA, monomialB);
    const coefficient = coefficientA / coefficientB;
    if (monomial === undefined || !Number.isInteger(coefficient) || step > 64) return undefined;
    const term = normalise(new Map([[monomial, coefficient]]));
    quotient = addDims(quotient, term);
    rest = subDims(rest, mulDims(term, b));
  }
  return quotient;
}

/** The symbols a dim mentions. */
export function dimSymbols(dim: Dim): string[] {
  return typeof dim === "number" ? [] : [...new Set([...dim.terms.keys()].flatMap(factors))];
}

/** Value of a dim. @throws NextxError DIM_UNBOUND for a symbol without value */
export function evaluateDim(dim: Dim, values: ReadonlyMap<string, number>): number {
  if (typeof dim === "number") return dim;
  let total = 0;
  for (const [monomial, coefficient] of dim.terms) {
    let product = coefficient;
    for (const name of factors(monomial)) {
      const value = values.get(name);
      if (value === undefined) throw new NextxError("DIM_UNBOUND", `Dimension "${name}" has no value.`);
      product *= value;
    }
    total += product;
  }
  return total;
}

/** Numpy broadcasting of two shapes. @throws NextxError SHAPE_MISMATCH */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const da = a[i - rank + a.length] ?? 1;
    const db = b[i - rank + b.length] ?? 1;
    if (da === 1) return db;
    if (db === 1 || dimsEqual(da, db)) return da;
    throw new NextxError("SHAPE_MISMATCH", `Shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast.`);
  });
}

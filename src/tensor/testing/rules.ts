/**
 * What each op means, in float64 loops written from its mathematical definition and never from its lowering.
 * Test-only; `reference.ts` walks graphs with these rules.
 */
import type { Dim, Shape } from "../dims.ts";
import type { Attrs, DType } from "../tensor.ts";
import {
  broadcastEntry,
  commonShape,
  flat,
  generate,
  get,
  indices,
  map,
  mapRows,
  type Nd,
  nd,
  zeros,
} from "./ndarray.ts";
import { quantisedRules } from "./quantisedRules.ts";
import { windowRules } from "./windowRules.ts";

/** What a rule may know beyond its inputs. */
export interface RuleContext {
  readonly attrs: Attrs;
  readonly dtype: DType;
  /** Value of a dim in this run. */
  size(dim: Dim): number;
}

export type Rule = (inputs: readonly Nd[], context: RuleContext) => Nd;

const sizes = (shape: Shape, context: RuleContext): number[] => shape.map((dim) => context.size(dim));

/** Elementwise rule; int32 results wrap around and divide towards zero. */
const elementwise =
  (real: (...v: number[]) => number, integer = (...v: number[]) => real(...v) | 0): Rule =>
  (inputs, { dtype }) =>
    map(dtype === "int32" ? integer : real, ...inputs);

/** erf by its all-positive series, exact to float64. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const geluExact = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));

/** log softmax of a row, shifted by its largest entry. */
function logSoftmax(row: Float64Array): Float64Array {
  const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const rest = Math.log(row.reduce((total, v) => total + Math.exp(v - top), 0));
  return row.map((v) => v - top - rest);
}

function standardise(row: Float64Array, eps: number): Float64Array {
  const mean = row.reduce((a, b) => a + b, 0) / row.length;
  const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
  return row.map((v) => (v - mean) / Math.sqrt(variance + eps));
}

const normalise: Rule = ([x], { attrs }) => mapRows(x as Nd, (row) => standardise(row, attrs.eps as number));

const transposeRule: Rule = ([x], { attrs }) => {
  const { shape } = x as Nd;
  const permutation = attrs.permutation as number[];
  const from = shape.map(() => 0);
  return generate(
    permutation.map((axis) => shape[axis] as number),
    (index) => {
      permutation.forEach((axis, i) => {
        from[axis] = index[i] as number;
      });
      return get(x as Nd, ...from);
    },
  );
};

const sumRule: Rule = ([x], { attrs, dtype }) => {
  const axes = attrs.axes as number[];
  const { shape } = x as Nd;
  const out = zeros(shape.map((side, axis) => (axes.includes(axis) ? 1 : side)));
  for (const index of indices(shape)) {
    const to = flat(
      index.map((at, axis) => (axes.includes(axis) ? 0 : at)),
      out.shape,
    );
    out.data[to] = (out.data[to] as number) + get(x as Nd, ...index);
    if (dtype === "int32") out.data[to] = (out.data[to] as number) | 0;
  }
  return out;
};

/** Rows start .. start + length - 1 of an axis of x, zero where x has none. */
function window(x: Nd, axis: number, start: number, length: number): Nd {
  const side = x.shape[axis] as number;
  return generate(
    x.shape.map((n, i) => (i === axis ? length : n)),
    (index) => {
      const at = (index[axis] as number) + start;
      return at < 0 || at >= side ? 0 : get(x, ...index.map((n, i) => (i === axis ? at : n)));
    },
  );
}

const sliceRule: Rule = ([x], { attrs, size }) => {
  const [start, end] = [size(attrs.start as Dim), size(attrs.end as Dim)];
  return window(x as Nd, attrs.axis as number, start, end - start);
};

const padRule: Rule = ([x], { attrs, size }) => {
  const axis = attrs.axis as number;
  const [before, after] = [size(attrs.before as Dim), size(attrs.after as Dim)];
  return window(x as Nd, axis, -before, before + ((x as Nd).shape[axis] as number) + after);
};

const concatRule: Rule = (inputs, { attrs }) => {
  const axis = attrs.axis as number;
  const lengths = inputs.map((x) => x.shape[axis] as number);
  const total = lengths.reduce((a, b) => a + b, 0);
  const shape = (inputs[0] as Nd).shape.map((side, i) => (i === axis ? total : side));
  return generate(shape, (index) => {
    let at = index[axis] as number;
    let part = 0;
    while (at >= (lengths[part] as number)) at -= lengths[part++] as number;
    return get(inputs[part] as Nd, ...index.map((n, i) => (i === axis ? at : n)));
  });
};

const castRule: Rule = ([x], { dtype }) =>
  map((v) => (dtype === "int32" ? Math.trunc(v) : dtype === "bool" ? Number(v !== 0) : v), x as Nd);

const gatherRule: Rule = ([table, ids]) => {
  const rest = (table as Nd).shape.slice(1);
  const rank = (ids as Nd).shape.length;
  return generate([...(ids as Nd).shape, ...rest], (index) =>
    get(table as Nd, get(ids as Nd, ...index.slice(0, rank)), ...index.slice(rank)),
  );
};

const scatterRule: Rule = ([ids, updates], { attrs, size }) => {
  const width = (updates as Nd).shape[1] as number;
  const out = zeros([size(attrs.rows as Dim), width]);
  for (const [n, column] of indices((updates as Nd).shape) as Iterable<[number, number]>) {
    const to = get(ids as Nd, n) * width + column;
    out.data[to] = (out.data[to] as number) + get(updates as Nd, n, column);
  }
  return out;
};

const pickRule: Rule = ([x, ids]) =>
  generate((ids as Nd).shape, (index) => get(x as Nd, ...index, get(ids as Nd, ...index)));

const argmaxRule: Rule = ([x]) =>
  generate((x as Nd).shape.slice(0, -1), (index) => {
    let best = 0;
    for (let i = 1; i < ((x as Nd).shape.at(-1) as number); i++) {
      if (get(x as Nd, ...index, i) > get(x as Nd, ...index, best)) best = i;
    }
    return best;
  });

const softmaxRule: Rule = ([x]) => mapRows(x as Nd, (row) => logSoftmax(row).map(Math.exp));

const crossEntropyRule: Rule = ([logits, ids]) => {
  const width = (logits as Nd).shape.at(-1) as number;
  return nd(
    (ids as Nd).data.map((id, n) => {
      const row = (logits as Nd).data.subarray(n * width, (n + 1) * width);
      return -(logSoftmax(row)[id] as number);
    }),
    (ids as Nd).shape,
  );
};

function product(a: Nd, b: Nd, transA: boolean, transB: boolean): Nd {
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [m, k] = transA ? [columnsA, rowsA] : [rowsA, columnsA];
  const n = transB ? rowsB : columnsB;
  const batch = commonShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return generate([...batch, m, n], (index) => {
    const [i, j] = index.slice(-2) as [number, number];
    let total = 0;
    for (let l = 0; l < k; l++) {
      const [ia, ja] = transA ? [l, i] : [i, l];
      const [ib, jb] = transB ? [j, l] : [l, j];
      total += matrixEntry(a, index, ia, ja) * matrixEntry(b, index, ib, jb);
    }
    return total;
  });
}

/** Entry (i, j) of the matrix of x that belongs to a batch index, broadcasting the batch axes. */
function matrixEntry(x: Nd, index: readonly number[], i: number, j: number): number {
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  const offset = index.length - x.shape.length;
  let position = 0;
  for (const [axis, side] of x.shape.slice(0, -2).entries()) {
    position = position * side + (side === 1 ? 0 : (index[axis + offset] as number));
  }
  return x.data[(position * rows + i) * columns + j] as number;
}

const matmulRule: Rule = ([a, b], { attrs }) =>
  product(a as Nd, b as Nd, attrs.transA as boolean, attrs.transB as boolean);

const linearRule: Rule = ([x, w, bias]) =>
  map((y, b) => y + b, product(x as Nd, w as Nd, false, true), bias as Nd);

interface Sites {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly y: readonly number[];
}

/** Every (input, weight, output) triple of sites that a convolution multiplies; padding sites are left out. */
function* convSites({ x, w, y }: Sites, { attrs }: RuleContext): Generator<[number, number, number]> {
  const [top, left] = attrs.pads as [number, number, number, number];
  const stride = attrs.stride as number;
  const [, , height, width] = x as [number, number, number, number];
  const [, inside, kernelH, kernelW] = w as [number, number, number, number];
  for (const [b, o, row, column] of indices(y) as Iterable<[number, number, number, number]>) {
    for (const [i, u, v] of indices([inside, kernelH, kernelW]) as Iterable<[number, number, number]>) {
      const [r, c] = [row * stride + u - top, column * stride + v - left];
      if (r < 0 || c < 0 || r >= height || c >= width) continue;
      yield [flat([b, i, r, c], x), flat([o, i, u, v], w), flat([b, o, row, column], y)];
    }
  }
}

const add = (out: Nd, at: number, value: number): void => {
  out.data[at] = (out.data[at] as number) + value;
};

const convRule: Rule = ([x, w, bias], context) => {
  const [top, left, bottom, right] = context.attrs.pads as [number, number, number, number];
  const stride = context.attrs.stride as number;
  const [b, , height, width] = (x as Nd).shape as [number, number, number, number];
  const [o, , kernelH, kernelW] = (w as Nd).shape as [number, number, number, number];
  const rows = Math.floor((height + top + bottom - kernelH) / stride) + 1;
  const columns = Math.floor((width + left + right - kernelW) / stride) + 1;
  const out = generate([b, o, rows, columns], ([, channel = 0]) => bias?.data[channel] ?? 0);
  for (const [ix, iw, iy] of convSites({ x: (x as Nd).shape, w: (w as Nd).shape, y: out.shape }, context)) {
    add(out, iy, ((x as Nd).data[ix] as number) * ((w as Nd).data[iw] as number));
  }
  return out;
};

const convInputRule: Rule = ([g, w], context) => {
  const [height, width] = [
    context.size(context.attrs.height as Dim),
    context.size(context.attrs.width as Dim),
  ];
  const out = zeros([(g as Nd).shape[0] as number, (w as Nd).shape[1] as number, height, width]);
  for (const [ix, iw, iy] of convSites({ x: out.shape, w: (w as Nd).shape, y: (g as Nd).shape }, context)) {
    add(out, ix, ((g as Nd).data[iy] as number) * ((w as Nd).data[iw] as number));
  }
  return out;
};

const convWeightRule: Rule = ([x, g], context) => {
  const kernel = context.attrs.kernel as [number, number];
  const out = zeros([(g as Nd).shape[1] as number, (x as Nd).shape[1] as number, ...kernel]);
  for (const [ix, iw, iy] of convSites({ x: (x as Nd).shape, w: out.shape, y: (g as Nd).shape }, context)) {
    add(out, iw, ((x as Nd).data[ix] as number) * ((g as Nd).data[iy] as number));
  }
  return out;
};

const upsampleRule: Rule = ([x], { attrs }) => {
  const factor = attrs.factor as number;
  const [b, c, h, w] = (x as Nd).shape as [number, number, number, number];
  return generate([b, c, h * factor, w * factor], (index) => {
    const [n, channel, row, column] = index as [number, number, number, number];
    return get(x as Nd, n, channel, Math.floor(row / factor), Math.floor(column / factor));
  });
};

const sumPoolRule: Rule = ([x], { attrs }) => {
  const factor = attrs.factor as number;
  const [b, c, h, w] = (x as Nd).shape as [number, number, number, number];
  const out = zeros([b, c, h / factor, w / factor]);
  for (const index of indices((x as Nd).shape)) {
    const [n, channel, row, column] = index as [number, number, number, number];
    const to = flat([n, channel, Math.floor(row / factor), Math.floor(column / factor)], out.shape);
    add(out, to, get(x as Nd, ...index));
  }
  return out;
};

/** Rules by op name; `input` and `constant` are values, not rules. */
export const rules: Readonly<Record<string, Rule>> = {
  add: elementwise((a, b) => a + b),
  sub: elementwise((a, b) => a - b),
  mul: elementwise((a, b) => a * b, Math.imul),
  div: elementwise((a, b) => a / b),
  maximum: elementwise((a, b) => (a > b || Number.isNaN(a) ? a : b)),
  minimum: elementwise((a, b) => (a < b || Number.isNaN(a) ? a : b)),
  less: elementwise((a, b) => Number(a < b)),
  equal: elementwise((a, b) => Number(a === b)),
  where: elementwise(
    (c, a, b) => (c !== 0 ? a : b),
    (c, a, b) => (c !== 0 ? a : b),
  ),
  neg: elementwise((x) => -x),
  exp: elementwise(Math.exp),
  log: elementwise(Math.log),
  sqrt: elementwise(Math.sqrt),
  tanh: elementwise(Math.tanh),
  sigmoid: elementwise(logistic),
  erf: elementwise(erf),
  abs: elementwise(Math.abs),
  sign: elementwise(Math.sign),
  silu: elementwise((x) => x * logistic(x)),
  gelu: ([x], { attrs }) => map(attrs.approximate === "tanh" ? geluTanh : geluExact, x as Nd),
  reshape: ([x], context) => nd((x as Nd).data, sizes(context.attrs.shape as Shape, context)),
  transpose: transposeRule,
  broadcastTo: ([x], context) =>
    generate(sizes(context.attrs.shape as Shape, context), (index) => broadcastEntry(x as Nd, index)),
  sum: sumRule,
  slice: sliceRule,
  pad: padRule,
  concat: concatRule,
  cast: castRule,
  stopGradient: ([x]) => x as Nd,
  gatherRows: gatherRule,
  scatterAddRows: scatterRule,
  pickLast: pickRule,
  argmaxLast: argmaxRule,
  dimValue: (_, { attrs, size }) => nd([size(attrs.dim as Dim)], []),
  softmax: softmaxRule,
  crossEntropy: crossEntropyRule,
  layerNorm: normalise,
  rowNorm: normalise,
  matmul: matmulRule,
  linear: linearRule,
  conv2d: convRule,
  conv2dInputGradient: convInputRule,
  conv2dWeightGradient: convWeightRule,
  upsampleNearest: upsampleRule,
  sumPool: sumPoolRule,
  ...windowRules,
  ...quantisedRules,
};

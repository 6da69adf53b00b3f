/**
 * Picking rows and entries by integer ids, and the transposes of picking.
 * Sums over repeated ids never use a scatter with reduction on many threads (it loses updates): small tables use a
 * one-hot matrix product, large ones sorted prefix sums. Both give the same bits in every run; those of the product
 * may differ between thread counts.
 */
import { type Dim, dimsEqual, mulDims, shapeText } from "../dims.ts";
import { NextxError } from "../errors.ts";
import {
  apply,
  constant,
  dimOf,
  type Emitter,
  needType,
  type Op,
  staticDim,
  type Tensor,
} from "../tensor.ts";
import { equal, mul } from "./elementwise.ts";
import { argmax, pickedBySum } from "./missingKernels.ts";
import { broadcastTo, cast, reshape } from "./structure.ts";

/** Up to this many rows a one-hot product is as fast as sorting (512 x 65,536 ids: 87 against 42 ms on 2 cores). */
const ONE_HOT_ROWS = 256;

const FLOAT32 = 1;
const FLOAT64 = 11;

const at = (node: Tensor, i: number): Tensor => node.inputs[i] as Tensor; // arity fixed by the builders
const needIds = (ids: Tensor, what: string): void => needType(ids, "int32", what);

const gatherOp: Op = {
  name: "gatherRows",
  infer: (inputs) => {
    const [table, ids] = inputs as [Tensor, Tensor];
    needIds(ids, "gatherRows");
    dimOf(table, 0); // refuses a scalar
    return { shape: [...ids.shape, ...table.shape.slice(1)], dtype: table.dtype };
  },
  gradient: (node, g) => {
    const [table, ids] = node.inputs as [Tensor, Tensor];
    if (table.dtype !== "float32") return [null, null];
    const width = mulDims(...table.shape.slice(1));
    const flat = reshape(g, [mulDims(...ids.shape), width]);
    return [reshape(scatterAddRows(reshape(ids, [-1]), flat, dimOf(table, 0)), table.shape), null];
  },
  lower: (emit, _, inputs) => emit.node("Gather", inputs, { axis: 0 }),
};

/** Rows of table [V, ...] by int32 ids of any shape -> [...ids, ...]. Ids outside 0 .. V-1 are undefined. */
export function gatherRows(table: Tensor, ids: Tensor): Tensor {
  return apply(gatherOp, [table, ids], {});
}

const scatterOp: Op<{ rows: Dim }> = {
  name: "scatterAddRows",
  infer: (inputs, { rows }) => {
    const [ids, updates] = inputs as [Tensor, Tensor];
    needIds(ids, "scatterAddRows");
    needType(updates, "float32", "scatterAddRows");
    const fits = ids.shape.length === 1 && updates.shape.length === 2;
    if (!fits || !dimsEqual(dimOf(ids, 0), dimOf(updates, 0))) {
      const shapes = `${shapeText(ids.shape)} and ${shapeText(updates.shape)}`;
      throw new NextxError("SHAPE_MISMATCH", `scatterAddRows got ${shapes}.`);
    }
    if (typeof rows === "number" && !(Number.isInteger(rows) && rows >= 0)) {
      throw new NextxError("SCATTER_BAD_ROWS", `A sum over ids cannot have ${rows} rows.`);
    }
    return { shape: [rows, dimOf(updates, 1)], dtype: "float32" };
  },
  gradient: (node, g) => [null, gatherRows(g, node.inputs[0] as Tensor)],
  lower: (emit, node, [ids, updates]) => {
    const { rows } = node.attrs;
    if (typeof rows === "number" && rows <= ONE_HOT_ROWS) {
      return sumByOneHot(emit, ids as string, updates as string, rows);
    }
    // WebGPU has no float64.
    return emit.provider === "webgpu"
      ? sumByScatter(emit, node, ids as string, updates as string)
      : sumBySorting(emit, node, ids as string, updates as string);
  },
};

/** (rows, N) of 0 and 1, times the updates. */
function sumByOneHot(emit: Emitter, ids: string, updates: string, rows: number): string {
  const range = emit.int32s(
    Int32Array.from({ length: rows }, (_, i) => i),
    [rows, 1],
  );
  return emit.node("MatMul", [
    emit.node("Cast", [emit.node("Equal", [range, ids])], { to: FLOAT32 }),
    updates,
  ]);
}

/**
 * Updates in the order of their ids, prefix sums in float64, and for each row the difference between its end and its
 * start. 65,536 ids x 256 on two cores: 40 ms, ScatterElements 530 ms, one-hot at 4,096 rows 520 ms and 1.7 GB.
 * The price of prefix sums: a NaN also reaches the rows after it.
 */
function sumBySorting(emit: Emitter, node: Tensor, ids: string, updates: string): string {
  const [count, rows] = [dimOf(at(node, 0), 0), dimOf(node, 0)];
  const order = emit.nodeOutput(1, "TopK", [ids, emit.dims([count])], { axis: 0, largest: 0, sorted: 1 });
  // a zero row first, so that a row's sum is prefix[end] - prefix[start]
  const padded = emit.node("Pad", [updates, emit.int64([0, 1]), "", emit.int64([0])], { mode: "constant" });
  const index = emit.node("Concat", [emit.dims([count]), order], { axis: 0 });
  const sorted = emit.node("Cast", [emit.node("Gather", [padded, index], { axis: 0 })], { to: FLOAT64 });
  const prefix = emit.node("CumSum", [sorted, emit.int64([0])]);
  const ones = emit.node("Expand", [emit.int32s(Int32Array.of(1), [1]), emit.dims([count])]);
  const none = emit.node("Expand", [emit.int32s(Int32Array.of(0), [1]), emit.dims([rows])]);
  const counts = emit.node("ScatterElements", [none, ids, ones], { axis: 0, reduction: "add" });
  const ends = emit.node("CumSum", [counts, emit.int64([0])]);
  const starts = emit.node("Sub", [ends, counts]);
  const [to, from] = [ends, starts].map((at) => emit.node("Gather", [prefix, at], { axis: 0 })) as [
    string,
    string,
  ];
  return emit.node("Cast", [emit.node("Sub", [to, from])], { to: FLOAT32 });
}

function sumByScatter(emit: Emitter, node: Tensor, ids: string, updates: string): string {
  const [count, rows, width] = [dimOf(at(node, 0), 0), dimOf(node, 0), dimOf(node, 1)];
  const column = emit.node("Reshape", [ids, emit.dims([count, 1])], { allowzero: 1 });
  const index = emit.node("Expand", [column, emit.dims([count, width])]);
  const zeros = emit.node("Expand", [emit.float(0), emit.dims([rows, width])]);
  return emit.node("ScatterElements", [zeros, index, updates], { axis: 0, reduction: "add" });
}

/** out[v] = sum of updates[i] over all i with ids[i] = v: ids [N], updates [N, D] -> [rows, D]. Errors: SCATTER_BAD_ROWS. */
export function scatterAddRows(ids: Tensor, updates: Tensor, rows: Dim): Tensor {
  return apply(scatterOp, [ids, updates], { rows });
}

/** float32 one-hot rows: ids [...] -> [..., depth]. */
export function oneHot(ids: Tensor, depth: number): Tensor {
  needIds(ids, "oneHot");
  const range = constant(
    Int32Array.from({ length: depth }, (_, i) => i),
    [depth],
  );
  return cast(equal(reshape(ids, [...ids.shape, 1]), range), "float32");
}

const pickOp: Op = {
  name: "pickLast",
  infer: (inputs) => {
    const [x, ids] = inputs as [Tensor, Tensor];
    needIds(ids, "pickLast");
    const rest: readonly Dim[] = x.shape.slice(0, -1);
    if (x.shape.length !== ids.shape.length + 1 || !rest.every((dim, i) => dimsEqual(dim, dimOf(ids, i)))) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `pickLast got ${shapeText(x.shape)} and ids ${shapeText(ids.shape)}.`,
      );
    }
    return { shape: ids.shape, dtype: x.dtype };
  },
  gradient: (node, g) => {
    const [x, ids] = node.inputs as [Tensor, Tensor];
    const depth = staticDim(dimOf(x, -1), "pickLast");
    return [mul(broadcastTo(reshape(g, [...g.shape, 1]), x.shape), oneHot(ids, depth)), null];
  },
  lower: (emit, node, [x, ids]) => {
    const shape = node.shape;
    const index = emit.node("Reshape", [ids as string, emit.dims([...shape, 1])], { allowzero: 1 });
    const width = at(node, 0).shape.at(-1);
    if (emit.provider === "webgpu" && node.dtype === "int32" && typeof width === "number")
      return pickedBySum(emit, x as string, index, width);
    const picked = emit.node("GatherElements", [x as string, index], { axis: shape.length });
    return emit.node("Reshape", [picked, emit.dims(shape)], { allowzero: 1 });
  },
};

/** One entry of the last axis per row: x [..., V], ids [...] -> [...]. */
export function pickLast(x: Tensor, ids: Tensor): Tensor {
  return apply(pickOp, [x, ids], {});
}

const argmaxOp: Op = {
  name: "argmaxLast",
  infer: ([x]) => {
    dimOf(x as Tensor, -1); // refuses a scalar
    return { shape: (x as Tensor).shape.slice(0, -1), dtype: "int32" };
  },
  gradient: () => [null],
  lower: (emit, node, [x]) => {
    const width = at(node, 0).shape.at(-1);
    // WebGPU has no int64, which ArgMax gives
    if (emit.provider === "webgpu" && typeof width === "number") return argmax(emit, x as string, width);
    const index = emit.node("ArgMax", [x as string], {
      axis: node.shape.length,
      keepdims: 0,
      select_last_index: 0,
    });
    return emit.node("Cast", [index], { to: 6 });
  },
};

/** Index of the largest entry of the last axis, the lowest one on ties; int32, no gradient. */
export function argmaxLast(x: Tensor): Tensor {
  return apply(argmaxOp, [x], {});
}

/** The ops of this file. */
export const gatherOps = [gatherOp, scatterOp, pickOp, argmaxOp] as unknown as readonly Op[]; // each op reads only its own attributes

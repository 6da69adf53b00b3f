/**
 * Picking rows and entries by integer ids, and the transposes of picking.
 * Sums over repeated ids never use a scatter with reduction on many threads (it loses updates): small tables use a
 * one-hot matrix product, large ones ScatterElements, which is slow and correct.
 */
import { type Dim, dimsEqual, mulDims, shapeText } from "../dims.ts";
import { NextxError } from "../errors.ts";
import { apply, constant, dimOf, type Op, staticDim, type Tensor } from "../tensor.ts";
import { equal, mul } from "./elementwise.ts";
import { broadcastTo, cast, reshape } from "./structure.ts";

/** Up to this many rows a one-hot product is faster than ScatterElements (and it is parallel). */
const ONE_HOT_ROWS = 4096;

function needIds(ids: Tensor, what: string): void {
  if (ids.dtype !== "int32")
    throw new NextxError("DTYPE_MISMATCH", `${what} needs int32 ids, got ${ids.dtype}.`);
}

const gatherOp: Op = {
  name: "gatherRows",
  infer: (inputs) => {
    const [table, ids] = inputs as [Tensor, Tensor];
    needIds(ids, "gatherRows");
    return { shape: [...ids.shape, ...table.shape.slice(1)], dtype: table.dtype };
  },
  gradient: (node, g) => {
    const [table, ids] = node.inputs as [Tensor, Tensor];
    if (table.dtype !== "float32") return [null, null];
    const width = mulDims(...table.shape.slice(1));
    const flat = reshape(g, [mulDims(...ids.shape), width]);
    const rows = staticDim(dimOf(table, 0), "A gathered table");
    return [reshape(scatterAddRows(reshape(ids, [-1]), flat, rows), table.shape), null];
  },
  lower: (emit, _, inputs) => emit.node("Gather", inputs, { axis: 0 }),
};

/** Rows of table [V, ...] by int32 ids of any shape -> [...ids, ...]. Ids outside 0 .. V-1 are undefined. */
export function gatherRows(table: Tensor, ids: Tensor): Tensor {
  return apply(gatherOp, [table, ids], {});
}

const scatterOp: Op<{ rows: number }> = {
  name: "scatterAddRows",
  infer: (inputs, { rows }) => {
    const [ids, updates] = inputs as [Tensor, Tensor];
    needIds(ids, "scatterAddRows");
    if (
      ids.shape.length !== 1 ||
      updates.shape.length !== 2 ||
      !dimsEqual(dimOf(ids, 0), dimOf(updates, 0))
    ) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `scatterAddRows got ${shapeText(ids.shape)} and ${shapeText(updates.shape)}.`,
      );
    }
    return { shape: [rows, dimOf(updates, 1)], dtype: "float32" };
  },
  gradient: (node, g) => [null, gatherRows(g, node.inputs[0] as Tensor)],
  lower: (emit, node, [ids, updates]) => {
    const { rows } = node.attrs;
    const [n, width] = [dimOf(node, 0), dimOf(node, 1)];
    if (rows <= ONE_HOT_ROWS) {
      const range = emit.int32s(
        Int32Array.from({ length: rows }, (_, i) => i),
        [rows, 1],
      );
      const hot = emit.node("Cast", [emit.node("Equal", [range, ids as string])], { to: 1 }); // (rows, N)
      return emit.node("MatMul", [hot, updates as string]);
    }
    const count = dimOf(node.inputs[0] as Tensor, 0);
    const index = emit.node("Expand", [
      emit.node("Reshape", [ids as string, emit.dims([count, 1])], { allowzero: 1 }),
      emit.dims([count, width]),
    ]);
    const zeros = emit.node("Expand", [emit.float(0), emit.dims([n, width])]);
    return emit.node("ScatterElements", [zeros, index, updates as string], { axis: 0, reduction: "add" });
  },
};

/** out[v] = sum of updates[i] over all i with ids[i] = v: ids [N], updates [N, D] -> [rows, D]. */
export function scatterAddRows(ids: Tensor, updates: Tensor, rows: number): Tensor {
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
    if (rest.length !== ids.shape.length || !rest.every((dim, i) => dimsEqual(dim, dimOf(ids, i)))) {
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
  infer: ([x]) => ({ shape: (x as Tensor).shape.slice(0, -1), dtype: "int32" }),
  gradient: () => [null],
  lower: (emit, node, [x]) => {
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

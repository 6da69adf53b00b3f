/**
 * Ops that move or add up elements: reshape, transpose, broadcastTo, sum, slice, pad, concat, cast, stopGradient.
 * They are linear, and each one's gradient is another of them.
 */
import {
  addDims,
  broadcastShapes,
  type Dim,
  dimsEqual,
  divDims,
  type Shape,
  shapesEqual,
  shapeText,
  sizeOf,
  subDims,
} from "../dims.ts";
import { NextxError } from "../errors.ts";
import { apply, constantValue, type DType, dimOf, normaliseAxis, type Op, type Tensor } from "../tensor.ts";
import { movable, picked } from "./missingKernels.ts";

const first = (node: Tensor): Tensor => node.inputs[0] as Tensor; // ops here have at least one input

const reshapeOp: Op<{ shape: Shape }> = {
  name: "reshape",
  infer: ([x], { shape }) => {
    const from = (x as Tensor).shape; // one input
    const negative = shape.some((dim) => typeof dim === "number" && dim < 0);
    if (negative || !dimsEqual(sizeOf(from), sizeOf(shape))) {
      throw new NextxError("SHAPE_MISMATCH", `Cannot reshape ${shapeText(from)} to ${shapeText(shape)}.`);
    }
    return { shape, dtype: (x as Tensor).dtype };
  },
  gradient: (node, g) => [reshape(g, first(node).shape)],
  lower: (emit, { attrs: { shape } }, [x]) => {
    const symbolic = shape.filter((dim) => typeof dim !== "number");
    const target =
      symbolic.length === 1 && !shape.includes(0)
        ? emit.int64(shape.map((dim) => (typeof dim === "number" ? dim : -1)))
        : emit.dims(shape);
    return emit.node("Reshape", [x as string, target], { allowzero: 1 });
  },
  simplify: (node) => {
    const x = first(node);
    if (shapesEqual(x.shape, node.shape)) return x;
    return x.op.name === "reshape" ? apply(reshapeOp, [first(x)], node.attrs) : undefined;
  },
};

/** Same elements in row-major order under a new shape; one entry may be -1. Errors: SHAPE_MISMATCH. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const free = shape.indexOf(-1);
  if (free < 0) return apply(reshapeOp, [x], { shape });
  const known = sizeOf(shape.filter((_, i) => i !== free));
  const missing = divDims(sizeOf(x.shape), known);
  if (missing === undefined) {
    throw new NextxError("SHAPE_MISMATCH", `Cannot reshape ${shapeText(x.shape)} to ${shapeText(shape)}.`);
  }
  return apply(reshapeOp, [x], { shape: shape.map((dim, i) => (i === free ? missing : dim)) });
}

const transposeOp: Op<{ permutation: readonly number[] }> = {
  name: "transpose",
  infer: ([x], { permutation }) => {
    const { shape, dtype } = x as Tensor; // one input
    if (permutation.length !== shape.length || new Set(permutation).size !== shape.length) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `[${permutation}] is not an axis order for ${shapeText(shape)}.`,
      );
    }
    return { shape: permutation.map((axis) => dimOf(x as Tensor, axis)), dtype };
  },
  gradient: (node, g) => {
    const { permutation } = node.attrs;
    return [
      transpose(
        g,
        permutation.map((_, axis) => permutation.indexOf(axis)),
      ),
    ];
  },
  lower: (emit, { attrs, dtype }, inputs) =>
    movable(emit, dtype, inputs, (x) => emit.node("Transpose", x, { perm: attrs.permutation })),
  simplify: (node) => {
    const { permutation } = node.attrs;
    const x = first(node);
    if (permutation.every((axis, i) => axis === i)) return x;
    if (x.op.name !== "transpose") return undefined;
    const inner = x.attrs.permutation as readonly number[]; // the op's own attribute
    return transpose(
      first(x),
      permutation.map((axis) => inner[axis] as number), // permutation of the same rank
    );
  },
};

/** Axis `i` of the result is axis `permutation[i]` of x. Errors: SHAPE_MISMATCH, AXIS_OUT_OF_RANGE. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  return apply(transposeOp, [x], {
    permutation: permutation.map((axis) => normaliseAxis(axis, x.shape.length)),
  });
}

const broadcastOp: Op<{ shape: Shape }> = {
  name: "broadcastTo",
  infer: ([x], { shape }) => {
    if (!shapesEqual(broadcastShapes((x as Tensor).shape, shape), shape)) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `${shapeText((x as Tensor).shape)} does not fill ${shapeText(shape)}.`,
      );
    }
    return { shape, dtype: (x as Tensor).dtype };
  },
  gradient: (node, g) => [sumTo(g, first(node).shape)],
  lower: (emit, { attrs }, [x]) => emit.node("Expand", [x as string, emit.dims(attrs.shape)]),
  simplify: (node) => (shapesEqual(first(node).shape, node.shape) ? first(node) : undefined),
};

/** Repeats along axes of length 1 (and new leading axes) until the shape is reached. Errors: SHAPE_MISMATCH. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  return shapesEqual(x.shape, shape) ? x : apply(broadcastOp, [x], { shape });
}

const sumOp: Op<{ axes: readonly number[] }> = {
  name: "sum",
  infer: ([x], { axes }) => {
    const { shape, dtype } = x as Tensor; // one input
    if (dtype === "bool") throw new NextxError("DTYPE_MISMATCH", "A sum over bool needs a cast first.");
    return { shape: shape.map((dim, i) => (axes.includes(i) ? 1 : dim)), dtype };
  },
  gradient: (node, g) => [broadcastTo(g, first(node).shape)],
  lower: (emit, { attrs }, [x]) =>
    emit.node("ReduceSum", [x as string, emit.int64(attrs.axes)], { keepdims: 1 }),
  simplify: (node) =>
    node.attrs.axes.every((axis) => first(node).shape[axis] === 1) ? first(node) : undefined,
};

/** Sum over axes (all when not given); summed axes stay with length 1 when `keepDims`. */
export function sum(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  const rank = x.shape.length;
  const over = [...new Set((axes ?? x.shape.map((_, i) => i)).map((axis) => normaliseAxis(axis, rank)))];
  const kept = over.length === 0 ? x : apply(sumOp, [x], { axes: [...over].sort((a, b) => a - b) });
  return keepDims
    ? kept
    : reshape(
        kept,
        x.shape.filter((_, i) => !over.includes(i)),
      );
}

/** Adds up what broadcasting from `shape` had repeated: the transpose of `broadcastTo`. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const offset = x.shape.length - shape.length;
  const axes = x.shape.flatMap((dim, i) => {
    const target = i < offset ? 1 : (shape[i - offset] as Dim); // in range
    return dimsEqual(dim, target) && i >= offset ? [] : [i];
  });
  return reshape(axes.length === 0 ? x : sum(x, axes, true), shape);
}

interface Range {
  readonly axis: number;
  readonly start: Dim;
  readonly end: Dim;
}

const sliceOp: Op<{ axis: number; start: Dim; end: Dim }> = {
  name: "slice",
  infer: ([x], { axis, start, end }) => {
    const { shape, dtype } = x as Tensor; // one input
    const length = subDims(end, start);
    const limit = shape[axis] as Dim; // axis normalised by the builder
    const bad = [start, length, subDims(limit, end)].some((dim) => typeof dim === "number" && dim < 0);
    if (bad) {
      throw new NextxError(
        "SLICE_OUT_OF_RANGE",
        `Slice ${start}..${end} leaves axis ${axis} of ${shapeText(shape)}.`,
      );
    }
    return { shape: shape.map((dim, i) => (i === axis ? length : dim)), dtype };
  },
  gradient: (node, g) => {
    const { axis, start, end } = node.attrs;
    return [pad(g, axis, start, subDims(first(node).shape[axis] as Dim, end))];
  },
  lower: (emit, { attrs: { axis, start, end }, dtype }, inputs) =>
    movable(emit, dtype, inputs, ([x]) =>
      // WebGPU slices float32 only; between symbolic ends int32 stays a slice, which the CPU takes
      emit.provider === "webgpu" &&
      dtype !== "float32" &&
      typeof start === "number" &&
      typeof end === "number"
        ? picked(emit, x as string, axis, start, end)
        : emit.node("Slice", [x as string, emit.dims([start]), emit.dims([end]), emit.int64([axis])]),
    ),
  bounds: ({ inputs, attrs: { axis, start, end } }) => [start, subDims(inputs[0]?.shape[axis] as Dim, end)], // one input
  simplify: (node) => {
    const x = first(node);
    if (shapesEqual(node.shape, x.shape)) return x;
    const isAcross = x.op.name === "concat" && x.attrs.axis === node.attrs.axis;
    return isAcross ? sliceOfParts(x.inputs, node.attrs) : undefined;
  },
};

/** A slice of joined parts as one of those it meets; undefined where it meets all or none, or a size is a symbol. */
function sliceOfParts(parts: readonly Tensor[], { axis, start, end }: Range): Tensor | undefined {
  if (typeof start !== "number" || typeof end !== "number") return undefined;
  const met: Tensor[] = [];
  let first = 0;
  for (const part of parts) {
    const size = part.shape[axis];
    if (typeof size !== "number") return undefined;
    const [from, to] = [Math.max(start, first), Math.min(end, first + size)];
    if (from < to) met.push(slice(part, axis, from - first, to - first));
    first += size;
  }
  return met.length > 0 && met.length < parts.length ? concat(met, axis) : undefined;
}

/** Elements start .. end - 1 of one axis. Errors: SLICE_OUT_OF_RANGE. */
export function slice(x: Tensor, axis: number, start: Dim, end: Dim): Tensor {
  return apply(sliceOp, [x], { axis: normaliseAxis(axis, x.shape.length), start, end });
}

/** Cuts an axis into consecutive pieces of the given lengths. */
export function split(x: Tensor, axis: number, lengths: readonly Dim[]): Tensor[] {
  let start: Dim = 0;
  return lengths.map((length) => {
    const end = addDims(start, length);
    const part = slice(x, axis, start, end);
    start = end;
    return part;
  });
}

const padOp: Op<{ axis: number; before: Dim; after: Dim }> = {
  name: "pad",
  infer: ([x], { axis, before, after }) => {
    const { shape, dtype } = x as Tensor; // one input
    if ([before, after].some((dim) => typeof dim === "number" && dim < 0)) {
      throw new NextxError("PAD_NEGATIVE", `Cannot pad by ${before} and ${after}; use slice to cut.`);
    }
    return { shape: shape.map((dim, i) => (i === axis ? addDims(before, dim, after) : dim)), dtype };
  },
  gradient: (node, g) => {
    const { axis, before, after } = node.attrs;
    return [slice(g, axis, before, subDims(g.shape[axis] as Dim, after))];
  },
  // All axes are named: ONNX Runtime moves a transpose past Pad as if there were no list of axes.
  lower: (emit, { attrs: { axis, before, after }, shape }, [x]) => {
    const at = (dim: Dim) => shape.map((_, i) => (i === axis ? dim : 0));
    return emit.node("Pad", [x as string, emit.dims([...at(before), ...at(after)])], { mode: "constant" });
  },
  bounds: ({ attrs: { before, after } }) => [before, after],
  simplify: (node) => (shapesEqual(node.shape, first(node).shape) ? first(node) : undefined),
};

/** Zeros before and after along one axis. Errors: PAD_NEGATIVE. */
export function pad(x: Tensor, axis: number, before: Dim, after: Dim): Tensor {
  return apply(padOp, [x], { axis: normaliseAxis(axis, x.shape.length), before, after });
}

/** Where a `pad` node puts its input, for the sum of slice gradients; undefined for other nodes. */
export function padRange(x: Tensor): Range | undefined {
  if (x.op.name !== "pad") return undefined;
  const { axis, before } = x.attrs as { axis: number; before: Dim }; // pad's own attributes
  return { axis, start: before, end: addDims(before, first(x).shape[axis] as Dim) };
}

const concatOp: Op<{ axis: number }> = {
  name: "concat",
  infer: (inputs, { axis }) => {
    const [head] = inputs as [Tensor]; // the builder refuses an empty list
    for (const x of inputs) {
      if (
        x.shape.length !== head.shape.length ||
        x.shape.some((d, i) => i !== axis && !dimsEqual(d, head.shape[i] as Dim))
      ) {
        throw new NextxError(
          "SHAPE_MISMATCH",
          `Cannot join ${shapeText(head.shape)} and ${shapeText(x.shape)} along axis ${axis}.`,
        );
      }
    }
    if (inputs.some((x) => x.dtype !== head.dtype)) {
      throw new NextxError("DTYPE_MISMATCH", `concat got ${inputs.map((x) => x.dtype).join(" and ")}.`);
    }
    const length = addDims(...inputs.map((x) => x.shape[axis] as Dim));
    return { shape: head.shape.map((dim, i) => (i === axis ? length : dim)), dtype: head.dtype };
  },
  gradient: (node, g) =>
    split(
      g,
      node.attrs.axis,
      node.inputs.map((x) => x.shape[node.attrs.axis] as Dim),
    ),
  lower: (emit, { attrs, dtype }, inputs) =>
    movable(emit, dtype, inputs, (parts) => emit.node("Concat", parts, { axis: attrs.axis })),
  overNothing: (inputs, _, { axis }) => concat(inputs, axis),
};

/** Joins tensors along an axis. Errors: SHAPE_MISMATCH, DTYPE_MISMATCH, CONCAT_EMPTY. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const [head] = tensors;
  if (head === undefined) throw new NextxError("CONCAT_EMPTY", "concat needs at least one tensor.");
  const along = normaliseAxis(axis, head.shape.length);
  return tensors.length === 1 ? head : apply(concatOp, tensors, { axis: along });
}

const ONNX_TYPE = { float32: 1, int32: 6, bool: 9 } as const;

const castOp: Op<{ dtype: DType }> = {
  name: "cast",
  infer: ([x], { dtype }) => ({ shape: (x as Tensor).shape, dtype }),
  gradient: (node, g) => [node.dtype === "float32" && first(node).dtype === "float32" ? g : null],
  lower: (emit, { attrs }, [x]) => emit.node("Cast", [x as string], { to: ONNX_TYPE[attrs.dtype] }),
  simplify: (node) => (first(node).dtype === node.dtype ? first(node) : undefined),
};

/** Conversion between float32, int32 (towards zero) and bool; no gradient passes through integers. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return apply(castOp, [x], { dtype });
}

const stopOp: Op = {
  name: "stopGradient",
  infer: ([x]) => ({ shape: (x as Tensor).shape, dtype: (x as Tensor).dtype }),
  gradient: () => [null],
  lower: (_, __, [x]) => x as string,
};

/** The same values; gradients end here. */
export function stopGradient(x: Tensor): Tensor {
  return apply(stopOp, [x], {});
}

/** True for a constant that is the number `value` everywhere it is broadcast. */
export function isConstant(x: Tensor, value: number): boolean {
  return constantValue(x) === value;
}

/** The ops of this file. */
export const structureOps = [
  reshapeOp,
  transposeOp,
  broadcastOp,
  sumOp,
  sliceOp,
  padOp,
  concatOp,
  castOp,
  stopOp,
] as unknown as readonly Op[]; // each op reads only its own attributes

/**
 * Coarse neural ops that have native kernels: softmax, cross-entropy, normalisation, gelu, silu; and mean.
 * Gradients are written in other ops, so gradients of gradients work.
 */
import { type Dim, dimsEqual, divDims, mulDims, type Shape, shapeText } from "../dims.ts";
import { NextxError } from "../errors.ts";
import { apply, dimOf, type Emitter, needType, type Op, scalar, staticDim, type Tensor } from "../tensor.ts";
import { add, div, erf, exp, mul, sigmoid, sqrt, square, sub, tanh } from "./elementwise.ts";
import { oneHot } from "./gather.ts";
import { broadcastTo, reshape, sum } from "./structure.ts";

const x0 = (node: Tensor): Tensor => node.inputs[0] as Tensor; // ops here have at least one input

const dimValueOp: Op<{ dim: Dim }> = {
  name: "dimValue",
  infer: () => ({ shape: [], dtype: "float32" }),
  gradient: () => [],
  lower: (emit, { attrs }) => emit.node("Cast", [emit.node("Squeeze", [emit.dims([attrs.dim])])], { to: 1 }),
};

/** A dim as a float32 scalar, known when the program runs. */
export function dimValue(dim: Dim): Tensor {
  return typeof dim === "number" ? scalar(dim) : apply(dimValueOp, [], { dim });
}

/** Mean over axes (all when not given). An empty mean is NaN, as everywhere. */
export function mean(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  const rank = x.shape.length;
  const over = (axes ?? x.shape.map((_, i) => i)).map((axis) => (axis < 0 ? axis + rank : axis));
  const count = mulDims(...over.map((axis) => dimOf(x, axis)));
  const total = sum(x, over, keepDims);
  return typeof count === "number" && count > 0 ? mul(total, 1 / count) : div(total, dimValue(count));
}

/** Shape and dtype of an op over float32 rows. */
function inferRows(x: Tensor, what: string): { shape: Shape; dtype: "float32" } {
  needType(x, "float32", what);
  dimOf(x, -1); // refuses a scalar
  return { shape: x.shape, dtype: "float32" };
}

const softmaxOp: Op = {
  name: "softmax",
  infer: ([x]) => inferRows(x as Tensor, "softmax"),
  gradient: (node, g) => {
    const weighted = mul(g, node);
    return [sub(weighted, mul(node, sum(weighted, [-1], true)))];
  },
  lower: (emit, _, [x]) => emit.node("Softmax", [x as string], { axis: -1 }),
};

/** Softmax over the last axis. */
export function softmax(x: Tensor): Tensor {
  return apply(softmaxOp, [x], {});
}

const crossEntropyOp: Op = {
  name: "crossEntropy",
  infer: (inputs) => {
    const [logits, ids] = inputs as [Tensor, Tensor];
    needType(logits, "float32", "crossEntropy");
    needType(ids, "int32", "crossEntropy");
    if (
      ids.shape.length + 1 !== logits.shape.length ||
      !ids.shape.every((dim, i) => dimsEqual(dim, dimOf(logits, i)))
    ) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `crossEntropy got ${shapeText(logits.shape)} and ${shapeText(ids.shape)}.`,
      );
    }
    return { shape: ids.shape, dtype: "float32" };
  },
  gradient: (node, g) => {
    const [logits, ids] = node.inputs as [Tensor, Tensor];
    const depth = staticDim(dimOf(logits, -1), "crossEntropy");
    const column = reshape(g, [...g.shape, 1]);
    return [mul(sub(softmax(logits), oneHot(ids, depth)), column), null];
  },
  lower: (emit, node, [logits, ids]) => {
    const rank = node.shape.length;
    const index = emit.node("Reshape", [ids as string, emit.dims([...node.shape, 1])], { allowzero: 1 });
    const logProbs =
      emit.provider === "webgpu"
        ? shiftedLogSoftmax(emit, logits as string)
        : emit.node("LogSoftmax", [logits as string], { axis: -1 });
    const picked = emit.node("GatherElements", [logProbs, index], { axis: rank });
    return emit.node("Neg", [emit.node("Reshape", [picked, emit.dims(node.shape)], { allowzero: 1 })]);
  },
};

/** Log(Softmax) would be -infinity where the probability underflows. */
function shiftedLogSoftmax(emit: Emitter, logits: string): string {
  const last = emit.int64([-1]);
  const shifted = emit.node("Sub", [logits, emit.node("ReduceMax", [logits, last], { keepdims: 1 })]);
  const total = emit.node("ReduceSum", [emit.node("Exp", [shifted]), last], { keepdims: 1 });
  return emit.node("Sub", [shifted, emit.node("Log", [total])]);
}

/** -log softmax(logits)[ids] per row: logits [..., V], int32 ids [...] -> [...]. */
export function crossEntropy(logits: Tensor, ids: Tensor): Tensor {
  return apply(crossEntropyOp, [logits, ids], {});
}

function centred(x: Tensor): Tensor {
  return sub(x, mean(x, [-1], true));
}

/** (g - mean g - y mean(g y)) / std over the last axis, for y = (x - mean) / std. */
function normalisationGradient(node: Tensor<{ eps: number }>, g: Tensor): readonly Tensor[] {
  const x = x0(node);
  const std = sqrt(add(mean(square(centred(x)), [-1], true), node.attrs.eps));
  const projected = mul(node, mean(mul(g, node), [-1], true));
  return [div(sub(centred(g), projected), std)];
}

const layerNormOp: Op<{ eps: number }> = {
  name: "layerNorm",
  infer: ([x]) => {
    const inferred = inferRows(x as Tensor, "layerNorm");
    staticDim(inferred.shape.at(-1), "layerNorm");
    return inferred;
  },
  gradient: normalisationGradient,
  lower: (emit, node, [x]) => {
    const width = staticDim(dimOf(node, -1), "layerNorm");
    const ones = emit.floats(new Float32Array(width).fill(1), [width]);
    return emit.node("LayerNormalization", [x as string, ones], {
      axis: -1,
      epsilon: { float: node.attrs.eps },
    });
  },
};

/** (x - mean) / sqrt(variance + eps) over the last axis, which is static. */
export function layerNorm(x: Tensor, eps: number): Tensor {
  return apply(layerNormOp, [x], { eps });
}

const rowNormOp: Op<{ eps: number }> = {
  name: "rowNorm",
  infer: ([x]) => {
    if ((x as Tensor).shape.length !== 3) {
      throw new NextxError("SHAPE_MISMATCH", `rowNorm needs rank 3, got ${shapeText((x as Tensor).shape)}.`);
    }
    return inferRows(x as Tensor, "rowNorm");
  },
  gradient: normalisationGradient,
  lower: (emit, node, [x]) => {
    const groups = staticDim(dimOf(node, 1), "rowNorm");
    const ones = emit.floats(new Float32Array(groups).fill(1), [groups]);
    const zeros = emit.floats(new Float32Array(groups), [groups]);
    return emit.node("InstanceNormalization", [x as string, ones, zeros], {
      epsilon: { float: node.attrs.eps },
    });
  },
};

/**
 * Group normalisation without affine: each of `groups` channel groups of x [B, C, H, W] to mean 0, variance 1.
 * Errors: SHAPE_MISMATCH.
 */
export function groupNorm(x: Tensor, groups: number, eps: number): Tensor {
  if (divDims(dimOf(x, 1), groups) === undefined) {
    throw new NextxError(
      "SHAPE_MISMATCH",
      `Cannot split the channels of ${shapeText(x.shape)} in ${groups} groups.`,
    );
  }
  const rows = reshape(x, [dimOf(x, 0), groups, -1]); // (B, G, C/G * H * W)
  return reshape(apply(rowNormOp, [rows], { eps }), x.shape);
}

const TANH_SCALE = Math.sqrt(2 / Math.PI);
const TANH_CUBIC = 0.044715;

const geluOp: Op<{ approximate: "tanh" | "none" }> = {
  name: "gelu",
  infer: ([x]) => {
    needType(x as Tensor, "float32", "gelu");
    return { shape: (x as Tensor).shape, dtype: "float32" };
  },
  gradient: (node, g) => {
    const x = x0(node);
    if (node.attrs.approximate === "none") {
      const cdf = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
      const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [mul(g, add(cdf, mul(x, density)))];
    }
    const xx = square(x);
    const t = tanh(mul(x, add(mul(xx, TANH_SCALE * TANH_CUBIC), TANH_SCALE)));
    const inner = add(mul(xx, 3 * TANH_SCALE * TANH_CUBIC), TANH_SCALE);
    const slope = mul(mul(x, sub(1, square(t))), inner);
    return [mul(g, mul(add(add(t, 1), slope), 0.5))];
  },
  lower: (emit, { attrs }, [x]) => emit.node("Gelu", [x as string], { approximate: attrs.approximate }),
};

/** Gaussian error linear unit, exact ("none") or with the tanh approximation. */
export function gelu(x: Tensor, approximate: "tanh" | "none" = "tanh"): Tensor {
  return apply(geluOp, [x], { approximate });
}

const siluOp: Op = {
  name: "silu",
  infer: ([x]) => {
    needType(x as Tensor, "float32", "silu");
    return { shape: (x as Tensor).shape, dtype: "float32" };
  },
  gradient: (node, g) => {
    const s = sigmoid(x0(node));
    return [mul(g, add(s, mul(node, sub(1, s))))]; // s + x s (1 - s)
  },
  lower: (emit, _, [x]) =>
    emit.provider === "cpu"
      ? emit.node("QuickGelu", [x as string], { alpha: { float: 1 } }, "com.microsoft")
      : emit.node("Mul", [x as string, emit.node("Sigmoid", [x as string])]),
};

/** x * sigmoid(x). */
export function silu(x: Tensor): Tensor {
  return apply(siluOp, [x], {});
}

/** x / sqrt(sum of squares over the last axis), with a floor as in F.normalize (eps 1e-12). */
export function l2Normalize(x: Tensor, eps = 1e-12): Tensor {
  // sqrt(max(sum, eps^2)) differs from max(norm, eps) only below eps, and keeps the gradient finite at zero.
  return div(x, broadcastTo(sqrt(add(sum(square(x), [-1], true), eps * eps)), [...x.shape.slice(0, -1), 1]));
}

/** The ops of this file. */
export const neuralOps = [
  dimValueOp,
  softmaxOp,
  crossEntropyOp,
  layerNormOp,
  rowNormOp,
  geluOp,
  siluOp,
] as unknown as readonly Op[]; // each op reads only its own attributes

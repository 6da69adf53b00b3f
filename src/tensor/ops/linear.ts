/**
 * Matrix products and convolutions. Each family is closed under differentiation: the gradients of a product are
 * products, those of the three convolution forms (forward, input gradient, weight gradient) are each other.
 * Layouts: images B x C x H x W, convolution weights O x I x kH x kW, linear weights out x in (as official files).
 */
import {
  addDims,
  broadcastShapes,
  type Dim,
  dimsEqual,
  divDims,
  mulDims,
  type Shape,
  shapeText,
} from "../dims.ts";
import { NextxError } from "../errors.ts";
import { apply, dimOf, type Emitter, needType, type Op, scalar, staticDim, type Tensor } from "../tensor.ts";
import { broadcastTo, reshape, sum, sumTo } from "./structure.ts";

const at = (node: Tensor, i: number): Tensor => node.inputs[i] as Tensor; // arity fixed by the builders

interface Flags {
  readonly transA: boolean;
  readonly transB: boolean;
}

function matrixSides(x: Tensor, transposed: boolean): [Dim, Dim] {
  const [rows, columns] = [dimOf(x, -2), dimOf(x, -1)];
  return transposed ? [columns, rows] : [rows, columns];
}

function productShape(a: Tensor, b: Tensor, { transA, transB }: Flags): Shape {
  needType(a, "float32", "A matrix product");
  needType(b, "float32", "A matrix product");
  if (a.shape.length < 2 || b.shape.length < 2) {
    throw new NextxError("SHAPE_MISMATCH", "Matrix products need tensors of rank 2 or more.");
  }
  const [m, k] = matrixSides(a, transA);
  const [k2, n] = matrixSides(b, transB);
  if (!dimsEqual(k, k2)) {
    throw new NextxError(
      "SHAPE_MISMATCH",
      `Cannot multiply ${shapeText(a.shape)} and ${shapeText(b.shape)}: inner sizes ${k} and ${k2} differ.`,
    );
  }
  return [...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n];
}

const lastTwoSwapped = (rank: number): number[] => {
  const order = Array.from({ length: rank }, (_, i) => i);
  return [...order.slice(0, -2), rank - 1, rank - 2];
};

const matmulOp: Op<Flags & { [key: string]: unknown }> = {
  name: "matmul",
  infer: (inputs, flags) => {
    const [a, b] = inputs as [Tensor, Tensor];
    return { shape: productShape(a, b, flags), dtype: "float32" };
  },
  gradient: (node, g) => {
    const [a, b] = [at(node, 0), at(node, 1)];
    const { transA, transB } = node.attrs;
    const ga = transA ? matmul(b, g, transB, true) : matmul(g, b, false, !transB);
    const gb = transB ? matmul(g, a, true, transA) : matmul(a, g, !transA, false);
    return [sumTo(ga, a.shape), sumTo(gb, b.shape)];
  },
  lower: (emit, node, [a, b]) => lowerMatmul(emit, node, a as string, b as string),
};

function lowerMatmul(emit: Emitter, node: Tensor, a: string, b: string): string {
  const { transA, transB } = node.attrs as unknown as Flags; // matmul's own attributes
  const [rankA, rankB] = [at(node, 0).shape.length, at(node, 1).shape.length];
  if (!transA && !transB) return emit.node("MatMul", [a, b]);
  if (rankA === 2 && rankB === 2) {
    return emit.node("Gemm", [a, b], { transA: transA ? 1 : 0, transB: transB ? 1 : 0 });
  }
  if (emit.provider !== "webgpu") {
    const flags = { transA: transA ? 1 : 0, transB: transB ? 1 : 0 };
    return emit.node("FusedMatMul", [a, b], flags, "com.microsoft");
  }
  const swap = (x: string, rank: number) => emit.node("Transpose", [x], { perm: lastTwoSwapped(rank) });
  return emit.node("MatMul", [transA ? swap(a, rankA) : a, transB ? swap(b, rankB) : b]);
}

/** Product of the last two axes, broadcast over the others; `transA`/`transB` read a factor transposed. */
export function matmul(a: Tensor, b: Tensor, transA = false, transB = false): Tensor {
  return apply(matmulOp, [a, b], { transA, transB });
}

const gemmOp: Op = {
  name: "linear",
  infer: (inputs) => {
    const [x, w, bias] = inputs as [Tensor, Tensor, Tensor];
    const shape = productShape(x, w, { transA: false, transB: true });
    if (bias.shape.length !== 1 || !dimsEqual(dimOf(bias, 0), dimOf(w, 0))) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `Bias ${shapeText(bias.shape)} does not fit ${shapeText(w.shape)}.`,
      );
    }
    return { shape, dtype: "float32" };
  },
  gradient: (node, g) => [matmul(g, at(node, 1)), matmul(g, at(node, 0), true), sum(g, [0])],
  lower: (emit, _, inputs) => emit.node("Gemm", inputs, { transB: 1 }),
  overNothing: ([bias], shape) => broadcastTo(bias as Tensor, shape), // x and weight have no columns
};

/** x W^T + bias over the last axis: x [..., in], W [out, in], bias [out] -> [..., out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [out, inside] = weight.shape;
  if (
    out === undefined ||
    inside === undefined ||
    weight.shape.length !== 2 ||
    !dimsEqual(dimOf(x, -1), inside)
  ) {
    throw new NextxError("SHAPE_MISMATCH", `Linear ${shapeText(weight.shape)} got ${shapeText(x.shape)}.`);
  }
  const flat = reshape(x, [mulDims(...x.shape.slice(0, -1)), inside]);
  const y = bias === undefined ? matmul(flat, weight, false, true) : apply(gemmOp, [flat, weight, bias], {});
  return reshape(y, [...x.shape.slice(0, -1), out]);
}

/** Stride (both axes) and zero padding [top, left, bottom, right] of a convolution. */
export interface ConvOptions {
  readonly stride?: number;
  readonly pads?: readonly [number, number, number, number];
}

interface ConvAttrs extends Record<string, unknown> {
  readonly stride: number;
  readonly pads: readonly [number, number, number, number];
}

function convSide(side: Dim, kernel: number, before: number, after: number, stride: number): Dim {
  const span = addDims(side, before + after - kernel);
  if (typeof span === "number" && span < 0) {
    throw new NextxError(
      "SHAPE_MISMATCH",
      `A kernel of ${kernel} does not fit a padded side of ${span + kernel}.`,
    );
  }
  if (stride === 1) return addDims(span, 1);
  if (typeof span === "number") return Math.floor(span / stride) + 1;
  // Symbolic sides: exact only when span + (stride - 1) - remainder divides; try each remainder.
  for (let remainder = 0; remainder < stride; remainder++) {
    const quotient = divDims(addDims(span, -remainder), stride);
    if (quotient !== undefined) return addDims(quotient, 1);
  }
  throw new NextxError(
    "DIM_NOT_STATIC",
    `Convolution with stride ${stride} over symbolic side ${String(side)}.`,
  );
}

const conv2dOp: Op<ConvAttrs> = {
  name: "conv2d",
  infer: (inputs, { stride, pads }) => {
    const [x, w, bias] = inputs as [Tensor, Tensor, Tensor?];
    for (const tensor of inputs) needType(tensor, "float32", "conv2d");
    const [b, c, h, width] = x.shape as [Dim, Dim, Dim, Dim];
    const [o, i, kh, kw] = w.shape as [Dim, Dim, Dim, Dim];
    if (x.shape.length !== 4 || w.shape.length !== 4 || !dimsEqual(c, i)) {
      throw new NextxError("SHAPE_MISMATCH", `Convolution ${shapeText(w.shape)} got ${shapeText(x.shape)}.`);
    }
    if (bias && (bias.shape.length !== 1 || !dimsEqual(dimOf(bias, 0), o))) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `Bias ${shapeText(bias.shape)} does not fit ${shapeText(w.shape)}.`,
      );
    }
    const outH = convSide(h, staticDim(kh, "A kernel"), pads[0], pads[2], stride);
    const outW = convSide(width, staticDim(kw, "A kernel"), pads[1], pads[3], stride);
    return { shape: [b, o, outH, outW], dtype: "float32" };
  },
  gradient: (node, g) => {
    const [x, w] = [at(node, 0), at(node, 1)];
    return [
      apply(convInputOp, [g, w], { ...node.attrs, height: dimOf(x, 2), width: dimOf(x, 3) }),
      apply(convWeightOp, [x, g], { ...node.attrs, kernel: [dimOf(w, 2), dimOf(w, 3)] as [number, number] }),
      ...(node.inputs.length > 2 ? [sum(g, [0, 2, 3])] : []),
    ];
  },
  lower: (emit, { attrs }, inputs) =>
    emit.node("Conv", inputs, { strides: [attrs.stride, attrs.stride], pads: attrs.pads }),
  overNothing: (inputs, shape) => {
    const bias = inputs.find((x) => x.shape.length === 1);
    const perChannel = bias && reshape(bias, [dimOf(bias, 0), 1, 1]);
    return broadcastTo(perChannel ?? scalar(0), shape);
  },
};

/** @throws NextxError CONV_BAD_OPTIONS */
function convAttrs({ stride = 1, pads = [0, 0, 0, 0] }: ConvOptions): ConvAttrs {
  if (Number.isInteger(stride) && stride >= 1 && pads.every((pad) => Number.isInteger(pad) && pad >= 0))
    return { stride, pads };
  throw new NextxError("CONV_BAD_OPTIONS", `A convolution cannot have stride ${stride} and pads [${pads}].`);
}

/** Cross-correlation of x [B, I, H, W] with w [O, I, kH, kW]. Errors: SHAPE_MISMATCH, CONV_BAD_OPTIONS, DIM_NOT_STATIC. */
export function conv2d(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor {
  return apply(conv2dOp, [x, weight], convAttrs(options));
}

/** conv2d plus a bias [O] per output channel. Errors: those of conv2d. */
export function conv2dBias(x: Tensor, weight: Tensor, bias: Tensor, options: ConvOptions = {}): Tensor {
  return apply(conv2dOp, [x, weight, bias], convAttrs(options));
}

interface ConvInputAttrs extends ConvAttrs {
  readonly height: Dim;
  readonly width: Dim;
}

/** Transpose of conv2d in its input: g [B, O, h, w], weight [O, I, kH, kW] -> [B, I, height, width]. */
const convInputOp: Op<ConvInputAttrs> = {
  name: "conv2dInputGradient",
  infer: (inputs, { height, width }) => {
    const [g, w] = inputs as [Tensor, Tensor];
    return { shape: [dimOf(g, 0), dimOf(w, 1), height, width], dtype: "float32" };
  },
  gradient: (node, gx) => {
    const [g, w] = [at(node, 0), at(node, 1)];
    const { stride, pads } = node.attrs;
    return [
      apply(conv2dOp, [gx, w], { stride, pads }),
      apply(convWeightOp, [gx, g], { stride, pads, kernel: [dimOf(w, 2), dimOf(w, 3)] as [number, number] }),
    ];
  },
  lower: (emit, node, [g, w]) => lowerConvInput(emit, node, g as string, w as string),
};

function lowerConvInput(emit: Emitter, node: Tensor, g: string, w: string): string {
  const { stride, pads, height, width } = node.attrs as unknown as ConvInputAttrs; // the op's own attributes
  const weight = at(node, 1);
  const [kh, kw] = [staticDim(dimOf(weight, 2), "A kernel"), staticDim(dimOf(weight, 3), "A kernel")];
  const [top, left, bottom, right] = pads;
  if (stride === 1 && top < kh && left < kw && bottom < kh && right < kw) {
    const swapped = emit.node("Transpose", [w], { perm: [1, 0, 2, 3] });
    const flipped =
      kh === 1 && kw === 1
        ? swapped
        : emit.node("Slice", [
            swapped,
            emit.int64([-1, -1]),
            emit.int64([-(2 ** 31), -(2 ** 31)]),
            emit.int64([2, 3]),
            emit.int64([-1, -1]),
          ]);
    const back = [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right];
    return emit.node("Conv", [g, flipped], { strides: [1, 1], pads: back });
  }
  // What the last stride left over; the side itself may be symbolic.
  const rest = (side: Dim, reduced: Dim, kernel: number, padding: number): number =>
    staticDim(
      addDims(side, mulDims(-stride, addDims(reduced, -1)), padding - kernel),
      "The gradient of a strided convolution",
    );
  const [, , gh, gw] = at(node, 0).shape as [Dim, Dim, Dim, Dim];
  const extra = [rest(height, gh, kh, top + bottom), rest(width, gw, kw, left + right)];
  return emit.node("ConvTranspose", [g, w], { strides: [stride, stride], pads, output_padding: extra });
}

interface ConvWeightAttrs extends ConvAttrs {
  readonly kernel: readonly [number, number];
}

/** Transpose of conv2d in its weight: x [B, I, H, W], g [B, O, h, w] -> [O, I, kH, kW]. */
const convWeightOp: Op<ConvWeightAttrs> = {
  name: "conv2dWeightGradient",
  infer: (inputs, { kernel }) => {
    const [x, g] = inputs as [Tensor, Tensor];
    return { shape: [dimOf(g, 1), dimOf(x, 1), ...kernel], dtype: "float32" };
  },
  gradient: (node, gw) => {
    const [x, g] = [at(node, 0), at(node, 1)];
    const { stride, pads } = node.attrs;
    return [
      apply(convInputOp, [g, gw], { stride, pads, height: dimOf(x, 2), width: dimOf(x, 3) }),
      apply(conv2dOp, [x, gw], { stride, pads }),
    ];
  },
  lower: (emit, node, [x, g]) =>
    emit.provider === "webgpu"
      ? convWeightByPicture(emit, node, x as string, g as string)
      : lowerConvWeight(emit, node, x as string, g as string),
};

/** Where `n` sites from `start` on end, `stride` apart. */
const viewEnd = (start: number, n: Dim, stride: number): Dim =>
  addDims(start + 1, mulDims(stride, addDims(n, -1)));

/**
 * A GPU has too few threads in one product over the sites of all pictures: one per picture and kernel position, summed over
 * the pictures at the end.
 */
function convWeightByPicture(emit: Emitter, node: Tensor, x: string, g: string): string {
  const { stride, pads, kernel } = node.attrs as unknown as ConvWeightAttrs; // the op's own attributes
  const [b, o, h, w] = at(node, 1).shape as [Dim, Dim, Dim, Dim];
  const sites = mulDims(h, w);
  const rows = emit.node("Reshape", [g, emit.dims([b, o, sites])], { allowzero: 1 });
  const padded = emit.node("Transpose", [padSides(emit, x, pads)], { perm: [0, 2, 3, 1] }); // (B, H, W, I)
  const end = (start: number, n: Dim) => viewEnd(start, n, stride);
  const products = Array.from({ length: kernel[0] * kernel[1] }, (_, place) => {
    const [i, j] = [Math.floor(place / kernel[1]), place % kernel[1]];
    const range = [emit.int64([i, j]), emit.dims([end(i, h), end(j, w)]), emit.int64([1, 2])];
    const view = emit.node("Slice", [padded, ...range, emit.int64([stride, stride])]); // (B, h, w, I)
    const shape = emit.dims([b, sites, dimOf(at(node, 0), 1)]);
    const columns = emit.node("Reshape", [view, shape], { allowzero: 1 });
    return emit.node("Unsqueeze", [emit.node("MatMul", [rows, columns]), emit.int64([3])]); // (B, O, I, 1)
  });
  const joined = products.length === 1 ? (products[0] as string) : emit.node("Concat", products, { axis: 3 });
  const summed = emit.node("ReduceSum", [joined, emit.int64([0])], { keepdims: 0 }); // (O, I, kH kW)
  return emit.node("Reshape", [summed, emit.dims(node.shape)]);
}

/**
 * One matrix product per kernel position over shifted views of the padded input, batch and sites summed inside the
 * product: g (O, sites) times x (I, sites) transposed. Much faster on the CPU than a Conv with the batch as channels.
 */
function lowerConvWeight(emit: Emitter, node: Tensor, x: string, g: string): string {
  const { stride, pads, kernel } = node.attrs as unknown as ConvWeightAttrs; // the op's own attributes
  const channelsFirst = (name: string) => emit.node("Transpose", [name], { perm: [1, 0, 2, 3] });
  const padded = padSides(emit, channelsFirst(x), pads);
  const views = { emit, node, padded, gradient: channelsFirst(g) };
  const products = stride === 1 && Math.max(...kernel) > 1 ? shiftProducts(views) : viewProducts(views);
  const parts = products.map((product) => emit.node("Unsqueeze", [product, emit.int64([2])])); // (O, I, 1)
  const joined = parts.length === 1 ? (parts[0] as string) : emit.node("Concat", parts, { axis: 2 });
  return emit.node("Reshape", [joined, emit.dims(node.shape)]);
}

/** Zeros around the last two axes: top, left, bottom, right. */
function padSides(emit: Emitter, x: string, pads: readonly number[]): string {
  if (pads.every((p) => p === 0)) return x;
  const [top, left, bottom, right] = pads as [number, number, number, number];
  // All axes are named: ONNX Runtime moves a transpose past Pad as if there were no list of axes.
  return emit.node("Pad", [x, emit.int64([0, 0, top, left, 0, 0, bottom, right])], { mode: "constant" });
}

interface WeightViews {
  readonly emit: Emitter;
  readonly node: Tensor;
  /** (I, B, H, W), padding included. */
  readonly padded: string;
  /** (O, B, h, w). */
  readonly gradient: string;
}

/**
 * At stride 1 the gradient, with zeros where the padded input has more rows and columns, lies on the input's own sites: a
 * kernel position is then one offset into flat rows, and a view one long piece per channel instead of one per line.
 */
function shiftProducts({ emit, node, padded, gradient }: WeightViews): string[] {
  const [rows, columns] = (node.attrs as unknown as ConvWeightAttrs).kernel; // the op's own attributes
  const [b, o, h, w] = at(node, 1).shape as [Dim, Dim, Dim, Dim];
  const inside = dimOf(at(node, 0), 1);
  const width = addDims(w, columns - 1);
  const sites = mulDims(b, addDims(h, rows - 1), width);
  const offset = (i: number, j: number) => addDims(mulDims(width, i), j);
  const length = addDims(sites, mulDims(offset(rows - 1, columns - 1), -1));
  const flat = (x: string, channels: Dim) =>
    emit.node("Reshape", [x, emit.dims([channels, sites])], { allowzero: 1 });
  const piece = (x: string, start: Dim) =>
    emit.node("Slice", [x, emit.dims([start]), emit.dims([addDims(start, length)]), emit.int64([1])]);
  const g = piece(flat(padSides(emit, gradient, [0, 0, rows - 1, columns - 1]), o), 0);
  const x = flat(padded, inside);
  return Array.from({ length: rows * columns }, (_, place) => {
    const view = piece(x, offset(Math.floor(place / columns), place % columns));
    return emit.node("Gemm", [g, view], { transB: 1 }); // (O, I)
  });
}

/** Any stride: the sites that a kernel position meets, cut out line by line. */
function viewProducts({ emit, node, padded, gradient }: WeightViews): string[] {
  const { stride, kernel } = node.attrs as unknown as ConvWeightAttrs; // the op's own attributes
  const [b, o, h, w] = at(node, 1).shape as [Dim, Dim, Dim, Dim];
  const inside = dimOf(at(node, 0), 1);
  const sites = mulDims(b, h, w);
  const rows = emit.node("Reshape", [gradient, emit.dims([o, sites])], { allowzero: 1 });
  const end = (start: number, n: Dim) => viewEnd(start, n, stride);
  const parts: string[] = [];
  for (let i = 0; i < kernel[0]; i++) {
    for (let j = 0; j < kernel[1]; j++) {
      const range = [
        emit.int64([i, j]),
        emit.dims([end(i, h), end(j, w)]),
        emit.int64([2, 3]),
        emit.int64([stride, stride]),
      ];
      const view = emit.node("Slice", [padded, ...range]); // (I, B, h, w)
      const columns = emit.node("Reshape", [view, emit.dims([inside, sites])], { allowzero: 1 });
      parts.push(emit.node("Gemm", [rows, columns], { transB: 1 })); // (O, I)
    }
  }
  return parts;
}

/** Sides of a picture. @throws NextxError SHAPE_MISMATCH, RESIZE_BAD_FACTOR */
function pictureShape(x: Tensor, factor: number): [Dim, Dim, Dim, Dim] {
  needType(x, "float32", "Resizing");
  if (x.shape.length !== 4) {
    throw new NextxError("SHAPE_MISMATCH", `Resizing needs B x C x H x W, got ${shapeText(x.shape)}.`);
  }
  if (!(Number.isInteger(factor) && factor >= 1)) {
    throw new NextxError("RESIZE_BAD_FACTOR", `A resize factor is a whole number from 1 on, got ${factor}.`);
  }
  return x.shape as [Dim, Dim, Dim, Dim]; // rank checked
}

const upsampleOp: Op<{ factor: number }> = {
  name: "upsampleNearest",
  infer: ([x], { factor }) => {
    const [b, c, h, w] = pictureShape(x as Tensor, factor);
    return { shape: [b, c, mulDims(h, factor), mulDims(w, factor)], dtype: "float32" };
  },
  gradient: (node, g) => [sumPool(g, node.attrs.factor)],
  lower: (emit, { attrs: { factor } }, [x]) =>
    emit.node("Resize", [x as string, "", emit.floats(Float32Array.of(1, 1, factor, factor), [4])], {
      mode: "nearest",
      coordinate_transformation_mode: "asymmetric",
      nearest_mode: "floor",
    }),
};

/** Repeats each pixel of x [B, C, H, W] in a factor x factor block. */
export function upsampleNearest(x: Tensor, factor: number): Tensor {
  return apply(upsampleOp, [x], { factor });
}

const sumPoolOp: Op<{ factor: number }> = {
  name: "sumPool",
  infer: ([x], { factor }) => {
    const [b, c, h, w] = pictureShape(x as Tensor, factor);
    const [height, width] = [divDims(h, factor), divDims(w, factor)];
    if (height === undefined || width === undefined) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `${shapeText((x as Tensor).shape)} has no ${factor} x ${factor} blocks.`,
      );
    }
    return { shape: [b, c, height, width], dtype: "float32" };
  },
  gradient: (node, g) => [upsampleNearest(g, node.attrs.factor)],
  lower: (emit, { attrs: { factor } }, [x]) => {
    const mean = emit.node("AveragePool", [x as string], {
      kernel_shape: [factor, factor],
      strides: [factor, factor],
    });
    return emit.node("Mul", [mean, emit.float(factor * factor)]);
  },
};

/** Sum of each factor x factor block: the transpose of `upsampleNearest`. */
export function sumPool(x: Tensor, factor: number): Tensor {
  return apply(sumPoolOp, [x], { factor });
}

/** The ops of this file. */
export const linearOps = [
  matmulOp,
  gemmOp,
  conv2dOp,
  convInputOp,
  convWeightOp,
  upsampleOp,
  sumPoolOp,
] as unknown as readonly Op[]; // each op reads only its own attributes

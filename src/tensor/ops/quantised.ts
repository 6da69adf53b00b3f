/**
 * Layers over weights of few bits, for inference: `runtime/quantised.ts` puts them where float layers were, after
 * differentiation. They mean the same on every provider; where one lacks the integer kernels, the same integers are
 * multiplied as float32. Activations of a row have a scale of their own, so a row never depends on its batch.
 */
import { type Dim, shapeText } from "../dims.ts";
import { NextxError } from "../errors.ts";
import { blockSize, type Int4Weight, type Int8Weight } from "../lowBits.ts";
import { apply, dimOf, type Emitter, needType, type Op, scalar, type Tensor } from "../tensor.ts";
import { type ConvOptions, conv2d, conv2dBias } from "./linear.ts";
import { broadcastTo } from "./structure.ts";

const MICROSOFT = "com.microsoft";
/** Largest size of an int8 activation. */
const TOP = 127;
/** What 0 is as an unsigned activation. */
const MIDDLE = 128;
/** Largest bias in steps of the sums: with products beside it, int32 holds it. */
export const mostBias = 2 ** 30;
/** Rows of zeros divide by this. */
const LEAST = 1e-30;

/** Whether the provider has integer products. */
const hasIntegers = ({ provider }: Emitter): boolean => provider === "cpu" || provider === "wasm";

function noGradient(node: Tensor): never {
  throw new NextxError("GRAPH_NO_GRADIENT", `A ${node.op.name} has no gradient.`, {
    hint: "Differentiate the graph with float weights, then quantise it.",
  });
}

function rowsShape(x: Tensor, weight: Int8Weight | Int4Weight, what: string): [Dim, number] {
  needType(x, "float32", what);
  const [out = 0, inside] = weight.shape;
  if (x.shape.length !== 2 || x.shape[1] !== inside || weight.shape.length !== 2) {
    throw new NextxError("SHAPE_MISMATCH", `${what} [${weight.shape}] got ${shapeText(x.shape)}.`);
  }
  return [dimOf(x, 0), out];
}

/** Rows that are turned together: what they write shares lines of the processor's cache. */
const turnedTogether = 64;

/** Row-major [rows, columns] as [columns, rows]. */
function transposed(codes: Int8Array, rows: number, columns: number): Int8Array {
  const turned = new Int8Array(codes.length);
  for (let first = 0; first < rows; first += turnedTogether) {
    const end = Math.min(first + turnedTogether, rows);
    for (let column = 0; column < columns; column++) {
      const to = column * rows;
      for (let row = first; row < end; row++) turned[to + row] = codes[row * columns + column] as number; // in range
    }
  }
  return turned;
}

/** Nearest whole numbers: WebGPU has no Round. Halves go up, where integer kernels take the even one. */
const nearest = (emit: Emitter, x: string): string =>
  emit.node("Floor", [emit.node("Add", [x, emit.float(0.5)])]);

const int8LinearOp: Op<{ weight: Int8Weight }> = {
  name: "int8Linear",
  infer: ([x], { weight }) => ({
    shape: rowsShape(x as Tensor, weight, "An int8 product"),
    dtype: "float32",
  }),
  gradient: noGradient,
  lower: (emit, { attrs: { weight } }, [x]) => {
    const [out = 0, inside = 0] = weight.shape;
    const size = emit.node("Abs", [x as string]);
    const top = emit.node("ReduceMax", [size, emit.int64([-1])], { keepdims: 1 }); // (M, 1)
    const scale = emit.node("Max", [emit.node("Mul", [top, emit.float(1 / TOP)]), emit.float(LEAST)]);
    const channels = emit.floats(weight.scales, [out]);
    if (!hasIntegers(emit)) {
      const rows = nearest(emit, emit.node("Div", [x as string, scale]));
      const codes = emit.floats(Float32Array.from(weight.codes), [out, inside]);
      const product = emit.node("Gemm", [rows, codes], { transB: 1 });
      return emit.node("Mul", [emit.node("Mul", [product, channels]), scale]);
    }
    const perRow = emit.node("Squeeze", [scale, emit.int64([1])]); // (M)
    const zeros = emit.node("Expand", [
      emit.uint8s(Uint8Array.of(MIDDLE), [1]),
      emit.node("Shape", [perRow]),
    ]);
    const rows = emit.node("QuantizeLinear", [x as string, perRow, zeros], { axis: 0 });
    const codes = emit.int8s(transposed(weight.codes, out, inside), [inside, out]);
    const middle = emit.uint8s(Uint8Array.of(MIDDLE), []);
    const inputs = [rows, codes, emit.float(1), channels, middle];
    return emit.node("Mul", [emit.node("MatMulIntegerToFloat", inputs, {}, MICROSOFT), scale]);
  },
};

/** x W^T with integers: x [M, in] in 8 bits with a scale per row, W [out, in] int8 -> [M, out]. Errors: SHAPE_MISMATCH. */
export function int8Linear(x: Tensor, weight: Int8Weight): Tensor {
  return apply(int8LinearOp, [x], { weight });
}

const int4LinearOp: Op<{ weight: Int4Weight }> = {
  name: "int4Linear",
  infer: ([x], { weight }) => ({
    shape: rowsShape(x as Tensor, weight, "An int4 product"),
    dtype: "float32",
  }),
  gradient: noGradient,
  lower: (emit, { attrs: { weight } }, [x]) => {
    const [out = 0, inside = 0] = weight.shape;
    const blocks = weight.scales.length / out;
    const codes = emit.uint8s(weight.codes, [out, blocks, blockSize / 2]);
    const scales = emit.floats(weight.scales, [out * blocks]);
    const attributes = { K: inside, N: out, bits: 4, block_size: blockSize };
    return emit.node("MatMulNBits", [x as string, codes, scales], attributes, MICROSOFT);
  },
};

/** x W^T over weights of four bits: x [M, in] float32, W [out, in] int4 -> [M, out]. Errors: SHAPE_MISMATCH. */
export function int4Linear(x: Tensor, weight: Int4Weight): Tensor {
  return apply(int4LinearOp, [x], { weight });
}

/** How the activations of a place become unsigned bytes: value = (byte - zero) * scale. */
export interface ByteRange {
  readonly scale: number;
  readonly zero: number;
}

/** The bytes that hold everything from `least` to `most`, and 0 exactly. */
export function byteRange(least: number, most: number): ByteRange {
  const [low, high] = [Math.min(0, least), Math.max(0, most)];
  const scale = Math.fround(Math.max((high - low) / 255, LEAST));
  return { scale, zero: Math.max(0, Math.min(255, Math.round(-low / scale))) };
}

interface Int8ConvAttrs extends Record<string, unknown> {
  readonly weight: Int8Weight;
  readonly input: ByteRange;
  readonly output: ByteRange;
  readonly stride: number;
  readonly pads: readonly [number, number, number, number];
}

/** x / scale + zero as whole numbers 0..255, less zero: float32. */
function bytesAsFloats(emit: Emitter, x: string, { scale, zero }: ByteRange): string {
  const whole = emit.node("Add", [nearest(emit, emit.node("Div", [x, emit.float(scale)])), emit.float(zero)]);
  const clipped = emit.node("Clip", [whole, emit.float(0), emit.float(255)]);
  return emit.node("Sub", [clipped, emit.float(zero)]);
}

/** A bias [O] as whole numbers of steps, which end where int32 does on every provider. */
function biasInSteps(emit: Emitter, bias: string, steps: string): string {
  const whole = nearest(emit, emit.node("Div", [bias, steps]));
  return emit.node("Clip", [whole, emit.float(-mostBias), emit.float(mostBias)]);
}

const int8ConvOp: Op<Int8ConvAttrs> = {
  name: "int8Conv2d",
  infer: ([x, bias], { weight, stride, pads }) => {
    const kernel = { shape: weight.shape, dtype: "float32" } as Tensor; // conv2d looks at nothing else
    const options = { stride, pads };
    const same = bias ? conv2dBias(x as Tensor, kernel, bias, options) : conv2d(x as Tensor, kernel, options);
    return { shape: same.shape, dtype: "float32" };
  },
  gradient: noGradient,
  lower: (emit, { attrs }, [x, bias]) => {
    const { weight, input, output, stride, pads } = attrs;
    const options = { strides: [stride, stride], pads };
    const [out = 0] = weight.shape;
    const steps = weight.scales.map((scale) => Math.max(scale * input.scale, LEAST)); // of the products' sums
    const added = bias === undefined ? [] : [biasInSteps(emit, bias, emit.floats(steps, [out]))];
    if (!hasIntegers(emit)) {
      const bytes = bytesAsFloats(emit, x as string, input);
      const codes = emit.floats(Float32Array.from(weight.codes), weight.shape);
      const sums = emit.node("Conv", [bytes, codes, ...added], options);
      const y = emit.node("Mul", [sums, emit.floats(steps, [out, 1, 1])]);
      return emit.node("Mul", [bytesAsFloats(emit, y, output), emit.float(output.scale)]);
    }
    const side = ({ scale, zero }: ByteRange) =>
      [emit.float(scale), emit.uint8s(Uint8Array.of(zero), [])] as const;
    const [from, to] = [side(input), side(output)];
    const bytes = emit.node("QuantizeLinear", [x as string, ...from]);
    const codes = emit.int8s(weight.codes, weight.shape);
    const scales = emit.floats(weight.scales, [out]);
    const none = emit.int8s(new Int8Array(out), [out]);
    const whole = added.map((sum) => emit.node("Cast", [sum], { to: 6 })); // int32
    const y = emit.node("QLinearConv", [bytes, ...from, codes, scales, none, ...to, ...whole], options);
    return emit.node("DequantizeLinear", [y, ...to]);
  },
  overNothing: (inputs, shape, attrs) => {
    const bias = inputs.find((x) => x.shape.length === 1);
    if (bias === undefined) return broadcastTo(scalar(0), shape);
    const [batch = 0, out = 0, height = 0, width = 0] = shape as readonly number[]; // sizes are known
    const zeros = broadcastTo(scalar(0), [batch, 1, height, width]);
    const { scales } = attrs.weight;
    const weight = { kind: "int8", shape: [out, 1, 1, 1], codes: new Int8Array(out), scales } as const;
    return apply(int8ConvOp, [zeros, bias], { ...attrs, weight, stride: 1, pads: [0, 0, 0, 0] }); // the bias in the same steps
  },
};

/**
 * conv2d or, with a bias [O], conv2dBias with integers over calibrated ranges: what leaves a range is clipped. The bias is
 * added to the sums of products, in their steps, 2^30 of them at most. x [B, I, H, W], weight [O, I, kH, kW]. Errors: those of conv2d.
 */
export function int8Conv2d(
  x: Tensor,
  weight: Int8Weight,
  ranges: { readonly input: ByteRange; readonly output: ByteRange },
  { stride = 1, pads = [0, 0, 0, 0], bias }: ConvOptions & { readonly bias?: Tensor | undefined } = {},
): Tensor {
  return apply(int8ConvOp, bias ? [x, bias] : [x], { weight, ...ranges, stride, pads });
}

/** The ops of this file. */
export const quantisedOps = [int8LinearOp, int4LinearOp, int8ConvOp] as unknown as readonly Op[]; // each op reads only its own attributes

/**
 * Ops over sliding windows of each channel on its own: maximum pooling and depthwise convolution, with native kernels. Their
 * gradients go through the windows laid side by side (a convolution with unit kernels), which is linear and differentiable.
 */
import { type Dim, dimsEqual, mulDims, type Shape, shapeText } from "../dims.ts";
import { NextxError } from "../errors.ts";
import { apply, constant, dimOf, needType, type Op, staticDim, type Tensor } from "../tensor.ts";
import { div, equal, mul } from "./elementwise.ts";
import { type ConvOptions, conv2d } from "./linear.ts";
import { cast, reshape, sum } from "./structure.ts";

interface WindowAttrs extends Record<string, unknown> {
  readonly kernel: number;
  readonly stride: number;
  readonly pads: readonly [number, number, number, number];
}

function pictureSides(x: Tensor, what: string): [Dim, Dim, Dim, Dim] {
  needType(x, "float32", what);
  if (x.shape.length === 4) return x.shape as [Dim, Dim, Dim, Dim]; // rank checked
  throw new NextxError("SHAPE_MISMATCH", `${what} needs B x C x H x W, got ${shapeText(x.shape)}.`);
}

/** x [B, C, H, W] as a conv2d with k k unit kernels: [B C, k k, h, w], channel t the view shifted by t. */
function windows(x: Tensor, { kernel, stride, pads }: WindowAttrs): Tensor {
  const [b, c, h, w] = x.shape as [Dim, Dim, Dim, Dim]; // rank checked by infer
  const places = kernel * kernel;
  const unit = new Float32Array(places * places);
  for (let t = 0; t < places; t++) unit[t * places + t] = 1;
  const planes = reshape(x, [mulDims(b, c), 1, h, w]); // (B C, 1, H, W)
  return conv2d(planes, constant(unit, [places, 1, kernel, kernel]), { stride, pads });
}

/** Shape after the windows have become one number each. */
function windowShape(x: Tensor, attrs: WindowAttrs): Shape {
  const [, , h, w] = windows(x, attrs).shape as [Dim, Dim, Dim, Dim];
  return [dimOf(x, 0), dimOf(x, 1), h, w];
}

/** Windows as [B, C, k k, h, w]. */
function views(laid: Tensor, node: Tensor): Tensor {
  const [b, c, h, w] = node.shape as [Dim, Dim, Dim, Dim];
  return reshape(laid, [b, c, dimOf(laid, 1), h, w]);
}

/** Gradient of x from that of its windows [B, C, k k, h, w]. */
function fold(laid: Tensor, x: Tensor, gradient: Tensor): Tensor {
  const [planes] = laid.op.gradient(laid, reshape(gradient, laid.shape));
  return reshape(planes as Tensor, x.shape); // conv2d has a gradient for its input
}

/** A node's gradient as [B, C, 1, h, w]. */
function column(g: Tensor): Tensor {
  const [b, c, h, w] = g.shape as [Dim, Dim, Dim, Dim];
  return reshape(g, [b, c, 1, h, w]);
}

const maxPoolOp: Op<WindowAttrs> = {
  name: "maxPool2d",
  infer: ([x], attrs) => {
    pictureSides(x as Tensor, "maxPool2d");
    return { shape: windowShape(x as Tensor, attrs), dtype: "float32" };
  },
  gradient: (node, g) => {
    const x = node.inputs[0] as Tensor; // one input
    const laid = windows(x, node.attrs);
    const isTop = cast(equal(views(laid, node), column(node)), "float32");
    const share = div(mul(isTop, column(g)), sum(isTop, [2], true)); // equals share
    return [fold(laid, x, share)];
  },
  lower: (emit, { attrs: { kernel, stride } }, [x]) =>
    emit.node("MaxPool", [x as string], { kernel_shape: [kernel, kernel], strides: [stride, stride] }),
};

/**
 * Largest value of each kernel x kernel window of x [B, C, H, W], windows that fit only (`pad` first for others); of equal
 * values each gets its share of the gradient. Errors: SHAPE_MISMATCH, POOL_BAD_OPTIONS, DIM_NOT_STATIC.
 */
export function maxPool2d(x: Tensor, kernel: number, stride = kernel): Tensor {
  if (!(Number.isInteger(kernel) && kernel >= 1 && Number.isInteger(stride) && stride >= 1))
    throw new NextxError("POOL_BAD_OPTIONS", `A pool cannot have kernel ${kernel} and stride ${stride}.`);
  return apply(maxPoolOp, [x], { kernel, stride, pads: [0, 0, 0, 0] });
}

const depthwiseOp: Op<WindowAttrs> = {
  name: "depthwiseConv2d",
  infer: (inputs, attrs) => {
    const [x, weight] = inputs as [Tensor, Tensor];
    const [, channels] = pictureSides(x, "depthwiseConv2d");
    const [out, one] = pictureSides(weight, "depthwiseConv2d");
    if (one !== 1 || !dimsEqual(out, channels)) {
      throw new NextxError(
        "SHAPE_MISMATCH",
        `A depthwise convolution ${shapeText(weight.shape)} got ${shapeText(x.shape)}.`,
      );
    }
    return { shape: windowShape(x, attrs), dtype: "float32" };
  },
  gradient: (node, g) => {
    const [x, weight] = node.inputs as [Tensor, Tensor];
    const laid = windows(x, node.attrs);
    const flat = reshape(weight, [dimOf(x, 1), dimOf(laid, 1), 1, 1]); // (C, k k, 1, 1)
    return [
      fold(laid, x, mul(flat, column(g))),
      reshape(sum(mul(views(laid, node), column(g)), [0, 3, 4]), weight.shape), // (C, k k)
    ];
  },
  lower: (emit, node, inputs) => {
    const { stride, pads } = node.attrs;
    const group = staticDim(dimOf(node.inputs[0] as Tensor, 1), "depthwiseConv2d"); // two inputs
    return emit.node("Conv", inputs, { strides: [stride, stride], pads, group });
  },
};

/**
 * Each channel of x [B, C, H, W] with its own square kernel, weight [C, 1, k, k].
 * Errors: SHAPE_MISMATCH, CONV_BAD_OPTIONS, DIM_NOT_STATIC.
 */
export function depthwiseConv2d(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor {
  const { stride = 1, pads = [0, 0, 0, 0] } = options;
  const kernel = staticDim(weight.shape[2], "A kernel");
  if (kernel !== weight.shape[3])
    throw new NextxError("SHAPE_MISMATCH", `A depthwise kernel is square, got ${shapeText(weight.shape)}.`);
  return apply(depthwiseOp, [x, weight], { kernel, stride, pads });
}

/** The ops of this file. */
export const windowOps = [maxPoolOp, depthwiseOp] as unknown as readonly Op[]; // each op reads only its own attributes

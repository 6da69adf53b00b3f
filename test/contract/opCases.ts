/**
 * Tiny cases of every op, run on every provider: forward, gradient and second gradient against the float64 reference. A
 * symbolic side N is 2 and then 0, unless a case says otherwise: empty tensors are part of the contract.
 */
import type { WeightBits } from "../../src/runtime/quantised.ts";
import type { OpCase, Sizes } from "../../src/runtime/testing/checkOp.ts";
import { symbol } from "../../src/tensor/dims.ts";
import { toInt4, toInt8 } from "../../src/tensor/lowBits.ts";
import * as e from "../../src/tensor/ops/elementwise.ts";
import { argmaxLast, gatherRows, pickLast, scatterAddRows } from "../../src/tensor/ops/gather.ts";
import { conv2d, linear, matmul, sumPool, upsampleNearest } from "../../src/tensor/ops/linear.ts";
import {
  crossEntropy,
  dimValue,
  gelu,
  groupNorm,
  layerNorm,
  silu,
  softmax,
} from "../../src/tensor/ops/neural.ts";
import { byteRange, int4Linear, int8Conv2d, int8Linear } from "../../src/tensor/ops/quantised.ts";
import {
  broadcastTo,
  cast,
  concat,
  pad,
  reshape,
  slice,
  stopGradient,
  sum,
  transpose,
} from "../../src/tensor/ops/structure.ts";
import { depthwiseConv2d, maxPool2d } from "../../src/tensor/ops/window.ts";
import type { RandomStream } from "../../src/tensor/random.ts";
import {
  bool,
  constant,
  float32,
  int32,
  type Tensor,
  type TensorLike,
  type TensorSpec,
} from "../../src/tensor/tensor.ts";

export interface ContractCase extends OpCase {
  readonly sizes?: readonly Sizes[];
  /** Bits of its weights, where they are few: processors that overflow over 8 are not given them. */
  readonly weightBits?: WeightBits;
}

const N = symbol("N");
type Inputs = Readonly<Record<string, Tensor>>;
type Draw = (random: RandomStream, position: number) => number;

/** One output over named inputs. */
function one(
  inputs: Readonly<Record<string, TensorSpec>>,
  build: (x: Inputs) => Tensor,
  more: Omit<ContractCase, "inputs" | "build"> = {},
): ContractCase {
  return { inputs, build: (x) => ({ y: build(x) }), ...more };
}

const get = (x: Inputs, name: string): Tensor => x[name] as Tensor; // declared by the case
const index =
  (limit: number): Draw =>
  (random) =>
    random.integer(limit);
const positive: Draw = (random) => 0.5 + Math.abs(random.normal());
/** Away from 0 and from each other's kinks. */
const apart: Draw = (random) => (random.integer(2) * 2 - 1) * (0.3 + Math.abs(random.normal()));

const unary = (f: (x: Tensor) => Tensor, draw?: Draw): ContractCase[] => [
  one({ x: float32(N, 3) }, (x) => f(get(x, "x")), draw && { draw: { x: draw } }),
];
const binary = (f: (a: TensorLike, b: TensorLike) => Tensor): ContractCase[] => [
  one({ a: float32(N, 3), b: float32(3) }, (x) => f(get(x, "a"), get(x, "b")), { draw: { b: apart } }),
  one({ a: int32(2, 1), b: int32(N) }, (x) => f(get(x, "a"), get(x, "b")), {
    draw: { b: (random) => 1 + random.integer(4) },
  }),
];
const moved = (f: (x: Tensor) => Tensor, ...shape: readonly (typeof N | number)[]): ContractCase[] =>
  [float32, int32, bool].map((type) => one({ x: type(...shape) }, (x) => f(get(x, "x"))));

const kernel = { x: float32(N, 2, 4, 4), w: float32(3, 2, 3, 3) };
const convolve = (stride: number, pads: readonly [number, number, number, number]): ContractCase =>
  one(kernel, (x) => conv2d(get(x, "x"), get(x, "w"), { stride, pads }));
const someNumbers = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * i));
const someInt4 = toInt4(someNumbers(3 * 32), [3, 32]);
const someRanges = { input: byteRange(-2, 3), output: byteRange(-8, 9) };
const bitCounts: readonly WeightBits[] = [7, 8];
/** The gradient of a convolution as a forward graph. */
const convolutionGradient = (input: 0 | 1): ContractCase[] =>
  [1, 2].map((stride) =>
    one(
      { ...kernel, g: float32(N, 3, 4 / stride, 4 / stride) },
      (x) => {
        const y = conv2d(get(x, "x"), get(x, "w"), { stride, pads: [1, 1, 1, 1] });
        return y.op.gradient(y, get(x, "g"))[input] as Tensor; // both inputs have one
      },
      { derivatives: 0 }, // the gradients of the three forms are each other: those of conv2d hold them
    ),
  );

/** Cases by op; the graph of each case holds the op that it stands under. */
export const opCases: Readonly<Record<string, readonly ContractCase[]>> = {
  input: [one({ x: float32(N, 2) }, (x) => e.mul(get(x, "x"), 2))],
  constant: [
    {
      inputs: { x: float32(N, 2), n: int32(N, 2), c: bool(N, 2) },
      build: (x) => ({
        float: e.add(get(x, "x"), constant(Float32Array.of(1, -2), [2])),
        int: e.add(get(x, "n"), constant(Int32Array.of(3, -4), [2])),
        bool: e.equal(get(x, "c"), constant(Uint8Array.of(1, 0), [2])),
      }),
    },
  ],
  add: binary(e.add),
  sub: binary(e.sub),
  mul: binary(e.mul),
  div: [
    ...binary(e.div),
    one({ a: int32(4), b: int32(4) }, (x) => e.div(get(x, "a"), get(x, "b")), {
      draw: { a: () => -(2 ** 31), b: (_, i) => [-1, 1, 7, -7][i] as number },
    }),
  ],
  maximum: binary(e.maximum),
  minimum: binary(e.minimum),
  less: binary(e.less),
  equal: [...binary(e.equal), one({ a: bool(N, 2), b: bool(2) }, (x) => e.equal(get(x, "a"), get(x, "b")))],
  where: [float32, int32, bool].map((type) =>
    one({ c: bool(N, 1), a: type(N, 3), b: type(3) }, (x) => e.where(get(x, "c"), get(x, "a"), get(x, "b"))),
  ),
  neg: [...unary(e.neg), one({ x: int32(N) }, (x) => e.neg(get(x, "x")))],
  exp: unary(e.exp),
  log: unary(e.log, positive),
  sqrt: unary(e.sqrt, positive),
  tanh: unary(e.tanh),
  sigmoid: unary(e.sigmoid),
  erf: unary(e.erf),
  abs: [...unary(e.abs, apart), one({ x: int32(N) }, (x) => e.abs(get(x, "x")))],
  sign: [...unary(e.sign, apart), one({ x: int32(N) }, (x) => e.sign(get(x, "x")))],
  reshape: moved((x) => reshape(x, [3, -1]), N, 3),
  transpose: moved((x) => transpose(x, [2, 0, 1]), N, 2, 3),
  broadcastTo: moved((x) => broadcastTo(x, [4, N, 3]), N, 1),
  sum: [
    one({ x: float32(2, N, 3) }, (x) => sum(get(x, "x"), [1])),
    one({ x: float32(2, N) }, (x) => sum(get(x, "x"))),
    one({ x: int32(2, N) }, (x) => sum(get(x, "x"), [0], true)),
  ],
  slice: moved((x) => slice(x, 1, 1, 3), N, 4),
  pad: [
    one({ x: float32(2, N) }, (x) => pad(get(x, "x"), 1, 1, 2)),
    one({ x: int32(2, N) }, (x) => pad(get(x, "x"), 1, 1, 2)),
  ],
  concat: [float32, int32, bool].map((type) =>
    one({ a: type(2, N), b: type(2, 3) }, (x) => concat([get(x, "a"), get(x, "b"), get(x, "a")], 1)),
  ),
  cast: (["float32", "int32", "bool"] as const).flatMap((to) =>
    // a cast to the same type is no node
    [float32, int32, bool]
      .filter((from) => from().dtype !== to)
      .map((from) => one({ x: from(N, 3) }, (x) => cast(get(x, "x"), to))),
  ),
  // central differences see through it; what its gradient is has a test of its own
  stopGradient: [
    one({ x: float32(N) }, (x) => e.mul(stopGradient(get(x, "x")), get(x, "x")), { derivatives: 0 }),
  ],
  gatherRows: [
    ...[float32, int32].map((type) =>
      one({ table: type(5, 3), ids: int32(N, 2) }, (x) => gatherRows(get(x, "table"), get(x, "ids")), {
        draw: { ids: index(5) },
      }),
    ),
    one({ table: float32(300, 2), ids: int32(N) }, (x) => gatherRows(get(x, "table"), get(x, "ids")), {
      draw: { ids: index(3) },
    }),
  ],
  scatterAddRows: [4, 300].map((rows) =>
    one({ ids: int32(N), x: float32(N, 2) }, (x) => scatterAddRows(get(x, "ids"), get(x, "x"), rows), {
      draw: { ids: index(4) },
      sizes: [{ N: 7 }, { N: 0 }],
    }),
  ),
  pickLast: [float32, int32].map((type) =>
    one({ x: type(N, 4), ids: int32(N) }, (x) => pickLast(get(x, "x"), get(x, "ids")), {
      draw: { ids: index(4) },
    }),
  ),
  argmaxLast: [
    one({ x: float32(N, 4) }, (x) => argmaxLast(get(x, "x")), { draw: { x: (random) => random.integer(3) } }),
  ],
  matmul: [
    ...[false, true].flatMap((transA) =>
      [false, true].map((transB) =>
        one(
          { a: transA ? float32(N, 2, 3) : float32(N, 3, 2), b: transB ? float32(4, 2) : float32(2, 4) },
          (x) => matmul(get(x, "a"), get(x, "b"), transA, transB),
        ),
      ),
    ),
    one({ a: float32(2, 3, N), b: float32(N, 2) }, (x) => matmul(get(x, "a"), get(x, "b"))),
    one({ a: float32(3, N), b: float32(2, N) }, (x) => matmul(get(x, "a"), get(x, "b"), false, true)),
  ],
  linear: [
    one({ x: float32(N, 2, 3), w: float32(4, 3), b: float32(4) }, (x) =>
      linear(get(x, "x"), get(x, "w"), get(x, "b")),
    ),
  ],
  conv2d: [convolve(1, [1, 1, 1, 1]), convolve(2, [0, 1, 1, 0])],
  conv2dInputGradient: convolutionGradient(0),
  conv2dWeightGradient: convolutionGradient(1),
  int8Linear: bitCounts.map((weightBits) => {
    const weight = toInt8(someNumbers(3 * 32), [3, 32], weightBits);
    return one({ x: float32(N, 32) }, (x) => int8Linear(get(x, "x"), weight), { derivatives: 0, weightBits });
  }),
  int4Linear: [one({ x: float32(N, 32) }, (x) => int4Linear(get(x, "x"), someInt4), { derivatives: 0 })],
  int8Conv2d: bitCounts.map((weightBits) => {
    const weight = toInt8(someNumbers(3 * 2 * 9), [3, 2, 3, 3], weightBits);
    const padded = { pads: [1, 1, 1, 1] } as const;
    return one({ x: float32(N, 2, 4, 4) }, (x) => int8Conv2d(get(x, "x"), weight, someRanges, padded), {
      derivatives: 0,
      weightBits,
    });
  }),
  upsampleNearest: [one({ x: float32(N, 2, 2, 3) }, (x) => upsampleNearest(get(x, "x"), 2))],
  sumPool: [one({ x: float32(N, 2, 4, 6) }, (x) => sumPool(get(x, "x"), 2))],
  dimValue: [one({ x: float32(N, 2) }, (x) => e.add(sum(get(x, "x")), dimValue(N)))],
  softmax: [one({ x: float32(N, 2, 4) }, (x) => softmax(get(x, "x")))],
  crossEntropy: [
    one({ x: float32(N, 2, 4), ids: int32(N, 2) }, (x) => crossEntropy(get(x, "x"), get(x, "ids")), {
      draw: { ids: index(4) },
    }),
    one({ x: float32(2, 3), ids: int32(2) }, (x) => crossEntropy(get(x, "x"), get(x, "ids")), {
      draw: { ids: index(3), x: (_, i) => [0, 200, -200][i % 3] as number }, // probabilities underflow
      derivatives: 0,
    }),
  ],
  layerNorm: [one({ x: float32(N, 2, 4) }, (x) => layerNorm(get(x, "x"), 1e-5))],
  rowNorm: [one({ x: float32(N, 4, 2, 2) }, (x) => groupNorm(get(x, "x"), 2, 1e-5))],
  gelu: [...unary((x) => gelu(x, "tanh")), ...unary((x) => gelu(x, "none"))],
  silu: unary(silu),
  maxPool2d: [
    one({ x: float32(N, 2, 4, 4) }, (x) => maxPool2d(get(x, "x"), 2)),
    one({ x: float32(1, 1, 5, 5) }, (x) => maxPool2d(get(x, "x"), 3, 2)),
  ],
  depthwiseConv2d: [
    one({ x: float32(N, 2, 4, 4), w: float32(2, 1, 3, 3) }, (x) =>
      depthwiseConv2d(get(x, "x"), get(x, "w"), { pads: [1, 1, 1, 1] }),
    ),
  ],
};

/**
 * What runs on the CPU when a page computes on WebGPU: there is no kernel, and none to lower to while sizes are symbols. Each
 * is refused where the CPU is forbidden and right where it is not; docs/ENGINE.md lists them by these names.
 */
export const webgpuGaps: Readonly<Record<string, ContractCase>> = {
  "arithmetic on sizes": one({ x: float32(N, 1) }, (x) => broadcastTo(get(x, "x"), [4, N, 3]), {
    derivatives: 0,
  }),
  "`dimValue` of a symbolic size": one({ x: float32(N) }, (x) => e.add(get(x, "x"), dimValue(N)), {
    derivatives: 0,
  }),
  "`slice` of int32 or bool between symbolic ends": one(
    { x: int32(2, 4), y: float32(N) },
    (x) => slice(get(x, "x"), 1, 0, N),
    { sizes: [{ N: 2 }] },
  ),
  "`argmaxLast` over a symbolic width": one({ x: float32(2, N) }, (x) => argmaxLast(get(x, "x")), {
    sizes: [{ N: 3 }],
  }),
  "`pickLast` of int32 over a symbolic width": one(
    { x: int32(2, N), ids: int32(2) },
    (x) => pickLast(get(x, "x"), get(x, "ids")),
    { draw: { ids: index(3) }, sizes: [{ N: 3 }] },
  ),
};

/** Sizes a case runs with. */
export function sizesOf({ inputs, sizes }: ContractCase): readonly Sizes[] {
  const symbolic = Object.values(inputs).some(({ shape }) => shape.some((side) => typeof side !== "number"));
  return sizes ?? (symbolic ? [{ N: 2 }, { N: 0 }] : [{}]);
}

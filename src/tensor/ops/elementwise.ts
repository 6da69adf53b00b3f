/**
 * Elementwise ops with numpy broadcasting: arithmetic, comparisons, where, and unary functions.
 * Comparisons give bool tensors and have no gradient.
 */
import { broadcastShapes, dimsEqual, type Shape, shapesEqual } from "../dims.ts";
import { NextxError } from "../errors.ts";
import {
  apply,
  constant,
  constantValue,
  type DType,
  type Emitter,
  type Op,
  scalar,
  type Tensor,
  type TensorLike,
} from "../tensor.ts";
import { absolute, asInt32, negated, signOf } from "./missingKernels.ts";
import { broadcastTo, isConstant, sumTo } from "./structure.ts";

const at = (node: Tensor, i: number): Tensor => node.inputs[i] as Tensor; // arity fixed by the builders

function inferBroadcast(inputs: readonly Tensor[]): Shape {
  return inputs.map((x) => x.shape).reduce(broadcastShapes);
}

/** The common dtype. @throws NextxError DTYPE_MISMATCH for several, or one that the op has no meaning for */
function sameType(inputs: readonly Tensor[], name: string, allowed: readonly DType[]): DType {
  const types = [...new Set(inputs.map((x) => x.dtype))];
  const [dtype] = types as [DType]; // ops here have at least one input
  if (types.length > 1 || !allowed.includes(dtype)) {
    throw new NextxError(
      "DTYPE_MISMATCH",
      `${name} takes ${allowed.join(" or ")}, got ${types.join(" and ")}.`,
    );
  }
  return dtype;
}

const FLOAT: readonly DType[] = ["float32"];
const NUMBER: readonly DType[] = ["float32", "int32"];
const ANY: readonly DType[] = ["float32", "int32", "bool"];

/** An explicit broadcast is dropped where the op's own broadcasting gives the same shape: it would be a copy. */
function dropBroadcasts(node: Tensor): Tensor | undefined {
  for (const [i, x] of node.inputs.entries()) {
    if (x.op.name !== "broadcastTo") continue;
    const inputs = node.inputs.map((y, j) => (i === j ? at(x, 0) : y));
    if (shapesEqual(inferBroadcast(inputs), node.shape)) return apply(node.op, inputs, node.attrs);
  }
  return undefined;
}

interface BinarySpec {
  readonly onnx: string;
  readonly scalar: (a: number, b: number) => number;
  readonly gradient: (a: Tensor, b: Tensor, g: Tensor, out: Tensor) => [() => Tensor, () => Tensor];
  readonly simplify?: (a: Tensor, b: Tensor) => Tensor | undefined;
  /** Where one ONNX node does not do; undefined to take it after all. */
  readonly lower?: (emit: Emitter, node: Tensor, inputs: readonly string[]) => string | undefined;
}

function binary(name: string, spec: BinarySpec): Op {
  return {
    name,
    scalar: spec.scalar,
    infer: (inputs) => ({ shape: inferBroadcast(inputs), dtype: sameType(inputs, name, NUMBER) }),
    gradient: (node, g) => {
      const [a, b] = [at(node, 0), at(node, 1)];
      const [ga, gb] = spec.gradient(a, b, g, node);
      return [a, b].map((x, i) => (x.dtype === "float32" ? sumTo((i === 0 ? ga : gb)(), x.shape) : null));
    },
    lower: (emit, node, inputs) => spec.lower?.(emit, node, inputs) ?? emit.node(spec.onnx, inputs),
    simplify: (node) => {
      const simpler = spec.simplify?.(at(node, 0), at(node, 1));
      if (simpler && simpler.dtype === node.dtype) return broadcastTo(simpler, node.shape);
      return dropBroadcasts(node);
    },
  };
}

const addOp = binary("add", {
  onnx: "Add",
  scalar: (a, b) => a + b,
  gradient: (_a, _b, g) => [() => g, () => g],
  simplify: (a, b) => (isConstant(a, 0) ? b : isConstant(b, 0) ? a : undefined),
});
const subOp = binary("sub", {
  onnx: "Sub",
  scalar: (a, b) => a - b,
  gradient: (_a, _b, g) => [() => g, () => neg(g)],
  simplify: (a, b) => (isConstant(b, 0) ? a : isConstant(a, 0) ? neg(b) : undefined),
});
const mulOp = binary("mul", {
  onnx: "Mul",
  scalar: (a, b) => a * b,
  gradient: (a, b, g) => [() => mul(g, b), () => mul(g, a)],
  simplify: (a, b) => {
    if (isConstant(a, 1)) return b;
    if (isConstant(b, 1)) return a;
    return scaleOfScale(a, b) ?? scaleOfScale(b, a);
  },
});
const divOp = binary("div", {
  onnx: "Div",
  scalar: (a, b) => a / b,
  gradient: (_a, b, g, out) => [() => div(g, b), () => neg(div(mul(g, out), b))],
  simplify: (a, b) => (isConstant(b, 1) ? a : undefined),
  lower: lowerIntegerDivision,
});
const maximumOp = binary("maximum", {
  onnx: "Max",
  scalar: (a, b) => Math.max(a, b),
  gradient: (a, b, g) => [() => where(less(a, b), 0, g), () => where(less(a, b), g, 0)],
});
const minimumOp = binary("minimum", {
  onnx: "Min",
  scalar: (a, b) => Math.min(a, b),
  gradient: (a, b, g) => [() => where(less(b, a), 0, g), () => where(less(b, a), g, 0)],
});

/** -2^31 / -1 ends the process inside the runtime (a trap of the CPU), so x / -1 is -x; x / 0 is refused there. */
function lowerIntegerDivision(emit: Emitter, node: Tensor, inputs: readonly string[]): string | undefined {
  if (node.dtype !== "int32" || (constantValue(at(node, 1)) ?? -1) !== -1) return undefined;
  const [a, b] = inputs as [string, string];
  const [one, minusOne] = [1, -1].map((value) => emit.int32s(Int32Array.of(value), [])) as [string, string];
  const negates = emit.node("Equal", [b, minusOne]);
  const quotient = emit.node("Div", [a, emit.node("Where", [negates, one, b])]);
  return emit.node("Where", [negates, negated(emit, a), quotient]);
}

/** c1 * (c2 * x) becomes (c1 c2) * x, unless c1 c2 leaves the range in which float32 is exact to its last bit. */
function scaleOfScale(a: Tensor, b: Tensor): Tensor | undefined {
  const outer = constantValue(a);
  if (outer === undefined || b.op.name !== "mul") return undefined;
  for (const [i, x] of b.inputs.entries()) {
    const inner = constantValue(x);
    if (inner === undefined) continue;
    if (b.dtype === "int32") return mul(at(b, 1 - i), Math.imul(outer, inner));
    const size = Math.abs(outer * inner);
    return size > 1e-30 && size < 1e30 ? mul(at(b, 1 - i), outer * inner) : undefined;
  }
  return undefined;
}

function comparison(name: string, onnx: string, allowed: readonly DType[]): Op {
  return {
    name,
    infer: (inputs) => {
      sameType(inputs, name, allowed);
      return { shape: inferBroadcast(inputs), dtype: "bool" };
    },
    gradient: () => [null, null],
    lower: (emit, { inputs: [a] }, inputs) => {
      const isBool = a?.dtype === "bool" && emit.provider === "webgpu";
      const compared = isBool ? inputs.map((x) => emit.node("Cast", [x], { to: 6 })) : inputs;
      return emit.node(onnx, compared);
    },
    simplify: dropBroadcasts,
  };
}

const lessOp = comparison("less", "Less", NUMBER);
const equalOp = comparison("equal", "Equal", ANY);

const whereOp: Op = {
  name: "where",
  infer: (inputs) => {
    sameType(inputs.slice(0, 1), "The condition of where", ["bool"]);
    return { shape: inferBroadcast(inputs), dtype: sameType(inputs.slice(1), "where", ANY) };
  },
  gradient: (node, g) => {
    const [condition, a, b] = [at(node, 0), at(node, 1), at(node, 2)];
    return [null, sumTo(where(condition, g, 0), a.shape), sumTo(where(condition, 0, g), b.shape)];
  },
  lower: (emit, node, [condition, ...branches]) => {
    const choose = (values: readonly string[]) => emit.node("Where", [condition as string, ...values]);
    return node.dtype === "bool" ? asInt32(emit, branches, choose) : choose(branches); // no provider has it for bool
  },
  simplify: dropBroadcasts,
};

/** A number as a constant of a dtype. @throws NextxError DTYPE_MISMATCH when it does not fit */
function lift(value: number, dtype: DType): Tensor {
  if (dtype === "float32") return scalar(value);
  const data = dtype === "int32" ? Int32Array.of(value) : Uint8Array.of(value);
  if (data[0] !== value) throw new NextxError("DTYPE_MISMATCH", `${value} is not a ${dtype} number.`);
  return constant(data, []);
}

/** Numbers take the type of the other operand, so `add(ids, 1)` stays integer. */
function pair(a: TensorLike, b: TensorLike): [Tensor, Tensor] {
  const like = typeof a === "number" ? b : a;
  const dtype = typeof like === "number" ? "float32" : like.dtype;
  return [typeof a === "number" ? lift(a, dtype) : a, typeof b === "number" ? lift(b, dtype) : b];
}

const call =
  (op: Op) =>
  (a: TensorLike, b: TensorLike): Tensor =>
    apply(op, pair(a, b), {});

export const add = call(addOp);
export const sub = call(subOp);
export const mul = call(mulOp);
export const div = call(divOp);
/** Larger of both; where they are equal the gradient goes to the first. */
export const maximum = call(maximumOp);
/** Smaller of both; where they are equal the gradient goes to the first. */
export const minimum = call(minimumOp);
export const less = call(lessOp);
export const equal = call(equalOp);

/** a where the condition holds, else b; all three broadcast. */
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  return apply(whereOp, [condition, ...pair(a, b)], {});
}

interface UnarySpec {
  readonly onnx: string;
  readonly scalar?: (x: number) => number;
  /** Dtypes with a meaning; float32 when not given. */
  readonly allowed?: readonly DType[];
  /** Derivative times g, from the input and the output. */
  readonly gradient: (x: Tensor, out: Tensor, g: Tensor) => Tensor | null;
  /** Where WebGPU lacks the kernel for a dtype; undefined to take it after all. */
  readonly webgpu?: (emit: Emitter, dtype: DType, x: string) => string | undefined;
}

function unary(name: string, spec: UnarySpec): Op {
  return {
    name,
    ...(spec.scalar && { scalar: spec.scalar }),
    infer: (inputs) => ({
      shape: (inputs[0] as Tensor).shape,
      dtype: sameType(inputs, name, spec.allowed ?? FLOAT),
    }),
    gradient: (node, g) => [spec.gradient(at(node, 0), node, g)],
    lower: (emit, node, [x]) => {
      const own = emit.provider === "webgpu" ? spec.webgpu?.(emit, node.dtype, x as string) : undefined;
      return own ?? emit.node(spec.onnx, [x as string]);
    },
    simplify: (node) => (name === "neg" && at(node, 0).op.name === "neg" ? at(at(node, 0), 0) : undefined),
  };
}

const negOp = unary("neg", {
  onnx: "Neg",
  allowed: NUMBER,
  scalar: (x) => -x,
  gradient: (_x, _y, g) => neg(g),
  webgpu: (emit, dtype, x) => (dtype === "int32" ? negated(emit, x) : undefined),
});
const expOp = unary("exp", { onnx: "Exp", scalar: Math.exp, gradient: (_x, y, g) => mul(g, y) });
const logOp = unary("log", { onnx: "Log", scalar: Math.log, gradient: (x, _y, g) => div(g, x) });
const sqrtOp = unary("sqrt", {
  onnx: "Sqrt",
  scalar: Math.sqrt,
  gradient: (_x, y, g) => div(mul(g, 0.5), y),
});
const tanhOp = unary("tanh", {
  onnx: "Tanh",
  scalar: Math.tanh,
  gradient: (_x, y, g) => mul(g, sub(1, mul(y, y))),
});
const sigmoidOp = unary("sigmoid", {
  onnx: "Sigmoid",
  scalar: (x) => 1 / (1 + Math.exp(-x)),
  gradient: (_x, y, g) => mul(g, mul(y, sub(1, y))),
});
const erfOp = unary("erf", {
  onnx: "Erf",
  gradient: (x, _y, g) => mul(g, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))),
});
const absOp = unary("abs", {
  onnx: "Abs",
  allowed: NUMBER,
  scalar: Math.abs,
  gradient: (x, _y, g) => mul(g, sign(x)),
  webgpu: (emit, dtype, x) => (dtype === "int32" ? absolute(emit, x) : undefined),
});
const signOp = unary("sign", {
  onnx: "Sign",
  allowed: NUMBER,
  scalar: Math.sign,
  gradient: () => null,
  webgpu: signOf,
});

export const neg = (x: Tensor): Tensor => apply(negOp, [x], {});
export const exp = (x: Tensor): Tensor => apply(expOp, [x], {});
export const log = (x: Tensor): Tensor => apply(logOp, [x], {});
export const sqrt = (x: Tensor): Tensor => apply(sqrtOp, [x], {});
export const tanh = (x: Tensor): Tensor => apply(tanhOp, [x], {});
export const sigmoid = (x: Tensor): Tensor => apply(sigmoidOp, [x], {});
export const erf = (x: Tensor): Tensor => apply(erfOp, [x], {});
/** |x|; the gradient at 0 is 0. */
export const abs = (x: Tensor): Tensor => apply(absOp, [x], {});
/** -1, 0 or 1; no gradient. */
export const sign = (x: Tensor): Tensor => apply(signOp, [x], {});
export const square = (x: Tensor): Tensor => mul(x, x);

/** True when two tensors have the same static or symbolic length along an axis. */
export function sameLength(a: Tensor, b: Tensor, axis: number): boolean {
  return dimsEqual(a.shape.at(axis) ?? 1, b.shape.at(axis) ?? 1);
}

/** The ops of this file. */
export const elementwiseOps: readonly Op[] = [
  addOp,
  subOp,
  mulOp,
  divOp,
  maximumOp,
  minimumOp,
  lessOp,
  equalOp,
  whereOp,
  negOp,
  expOp,
  logOp,
  sqrtOp,
  tanhOp,
  sigmoidOp,
  erfOp,
  absOp,
  signOp,
];

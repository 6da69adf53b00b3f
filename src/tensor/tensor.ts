/**
 * Symbolic tensors: immutable nodes of a graph that is described here and computed by a runtime.
 * A tensor knows its op, inputs, attributes, shape and dtype, never its values. Ops are plain objects (see `Op`);
 * the graph is whatever is reachable from the tensors one holds.
 */
import { type Dim, type Shape, type SymbolicDim, shapeText, sizeOf, symbol } from "./dims.ts";
import { NextxError } from "./errors.ts";

export type DType = "float32" | "int32" | "bool";
export type Data = Float32Array | Int32Array | Uint8Array;
/** Attribute values are plain data; typed arrays only in `constant`. */
export type Attrs = Readonly<Record<string, unknown>>;

export interface Tensor<A extends Attrs = Attrs> {
  readonly op: Op<A>;
  readonly inputs: readonly Tensor[];
  readonly attrs: A;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What an op's lowering may write: ONNX nodes over value names. */
export interface Emitter {
  /** `cpu`, `wasm` or `webgpu`: decides which fused kernels exist. */
  readonly provider: Provider;
  /** Adds one ONNX node with one output and returns the output's name; "" marks an absent optional input. */
  node(opType: string, inputs: readonly string[], attributes?: OnnxAttributes, domain?: string): string;
  /** The same for a node with several outputs of which only number `output` is used. */
  nodeOutput(output: number, opType: string, inputs: readonly string[], attributes?: OnnxAttributes): string;
  /** Names of constants. */
  int64(values: readonly number[]): string;
  float(value: number): string;
  floats(data: Float32Array, shape: readonly number[]): string;
  int32s(data: Int32Array, shape: readonly number[]): string;
  int8s(data: Int8Array, shape: readonly number[]): string;
  uint8s(data: Uint8Array, shape: readonly number[]): string;
  /** An int64 vector holding the dims, constant where they are numbers. */
  dims(shape: Shape): string;
}

export type Provider = "cpu" | "wasm" | "webgpu" | "cuda";
export type OnnxAttributes = Readonly<
  Record<string, number | string | readonly number[] | { float: number }>
>;

/** One op, defined once: shape rule, gradient, lowering. */
export interface Op<A extends Attrs = Attrs> {
  readonly name: string;
  infer(inputs: readonly Tensor[], attrs: A): { shape: Shape; dtype: DType };
  /** Gradients of the inputs (null: none) given the gradient of the output; written in ops that have gradients. */
  gradient(node: Tensor<A>, outputGradient: Tensor): readonly (Tensor | null)[];
  lower(emit: Emitter, node: Tensor<A>, inputs: readonly string[]): string;
  /** What must not be negative when sizes are known, besides the sides of the result (for example a slice's start). */
  bounds?(node: Tensor<A>): readonly Dim[];
  /**
   * The result where some input has no elements and the result has: `inputs` are those with elements. Zeros of the
   * shape when not given, which is what a sum over nothing is.
   */
  overNothing?(inputs: readonly Tensor[], shape: Shape, attrs: A): Tensor;
  /** Value on scalars, for constant folding of elementwise ops. */
  readonly scalar?: (...values: number[]) => number;
  /** Algebraic simplification of a node whose inputs are simplified already; undefined when there is none. */
  simplify?(node: Tensor<A>): Tensor | undefined;
}

/** Makes a node. @throws NextxError SHAPE_MISMATCH and others from the op's shape rule */
export function apply<A extends Attrs>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor {
  const { shape, dtype } = op.infer(inputs, attrs);
  // A node is stored under the general attribute type; only its own op reads the attributes.
  return { op, inputs, attrs, shape, dtype } as unknown as Tensor;
}

/** Specification of a graph input. Strings name symbolic dims. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly (Dim | string)[];
}

export const float32 = (...shape: (Dim | string)[]): TensorSpec => ({ dtype: "float32", shape });
export const int32 = (...shape: (Dim | string)[]): TensorSpec => ({ dtype: "int32", shape });
export const bool = (...shape: (Dim | string)[]): TensorSpec => ({ dtype: "bool", shape });

const inputOp: Op<{ name: string; shape: Shape; dtype: DType }> = {
  name: "input",
  infer: (_, attrs) => ({ shape: attrs.shape, dtype: attrs.dtype }),
  gradient: () => [],
  lower: () => {
    throw new NextxError("INTERNAL_INVARIANT", "Inputs are not lowered.");
  },
};

/**
 * A named graph input; also how parameters enter (their names are those of the checkpoint).
 * Errors: INPUT_BAD_NAME, DIM_BAD_NAME, DIM_BAD_SIZE.
 */
export function input(name: string, spec: TensorSpec): Tensor {
  if (name === "") throw new NextxError("INPUT_BAD_NAME", "An input needs a name.");
  const shape = spec.shape.map((dim): Dim => (typeof dim === "string" ? symbol(dim) : dim));
  for (const dim of shape) {
    if (typeof dim === "number" && !(Number.isSafeInteger(dim) && dim >= 0)) {
      throw new NextxError("DIM_BAD_SIZE", `Input "${name}" cannot have a side of ${dim}.`, { path: name });
    }
  }
  return apply(inputOp, [], { name, shape, dtype: spec.dtype });
}

/** The name of a graph input, or undefined for other nodes. */
export function inputName(tensor: Tensor): string | undefined {
  // the op identity guarantees the attribute
  return (tensor.op as unknown) === inputOp ? (tensor.attrs.name as string) : undefined;
}

interface ConstantAttrs extends Attrs {
  readonly data: Data;
  readonly shape: readonly number[];
}

const constantOp: Op<ConstantAttrs> = {
  name: "constant",
  infer: (_, { data, shape }) => ({
    shape,
    dtype: data instanceof Float32Array ? "float32" : data instanceof Int32Array ? "int32" : "bool",
  }),
  gradient: () => [],
  lower: (emit, { attrs: { data, shape } }) => {
    if (data instanceof Float32Array) return emit.floats(data, shape);
    if (data instanceof Int32Array) return emit.int32s(data, shape);
    return emit.node("Cast", [emit.int32s(Int32Array.from(data), shape)], { to: 9 });
  },
};

/** Values known when the graph is described: Float32Array, Int32Array, or Uint8Array for booleans. */
export function constant(data: Data, shape: readonly number[]): Tensor {
  if (sizeOf(shape) !== data.length) {
    throw new NextxError("SHAPE_MISMATCH", `${data.length} values do not fill shape ${shapeText(shape)}.`);
  }
  return apply(constantOp, [], { data, shape });
}

export function scalar(value: number): Tensor {
  return constant(Float32Array.of(value), []);
}

/** Data of a constant node, or undefined. */
export function constantData(tensor: Tensor): Data | undefined {
  // the op identity guarantees the attribute
  return (tensor.op as unknown) === constantOp ? (tensor.attrs.data as Data) : undefined;
}

/** The number in a constant whose elements are all equal (a scalar or a filled tensor), or undefined. */
export function constantValue(tensor: Tensor): number | undefined {
  const data = constantData(tensor);
  return data?.length === 1 ? data[0] : undefined;
}

export type TensorLike = Tensor | number;

export function toTensor(value: TensorLike): Tensor {
  return typeof value === "number" ? scalar(value) : value;
}

export function isSymbolic(dim: Dim): dim is SymbolicDim {
  return typeof dim !== "number";
}

/** A dim that must be a number. @throws NextxError DIM_NOT_STATIC */
export function staticDim(dim: Dim | undefined, what: string): number {
  if (typeof dim === "number") return dim;
  throw new NextxError("DIM_NOT_STATIC", `${what} needs a fixed size, got ${String(dim)}.`);
}

/** @throws NextxError DTYPE_MISMATCH when a tensor is not of the dtype that `what` needs */
export function needType(tensor: Tensor, dtype: DType, what: string): void {
  if (tensor.dtype !== dtype) {
    throw new NextxError("DTYPE_MISMATCH", `${what} needs ${dtype}, got ${tensor.dtype}.`);
  }
}

export function rank(tensor: Tensor): number {
  return tensor.shape.length;
}

/** Axis length, negative axes count from the end. @throws NextxError AXIS_OUT_OF_RANGE */
export function dimOf(tensor: Tensor, axis: number): Dim {
  return tensor.shape[normaliseAxis(axis, tensor.shape.length)] as Dim; // in range
}

export function normaliseAxis(axis: number, rankOf: number): number {
  const index = axis < 0 ? axis + rankOf : axis;
  if (!Number.isInteger(axis) || index < 0 || index >= rankOf) {
    throw new NextxError("AXIS_OUT_OF_RANGE", `Axis ${axis} does not exist in a tensor of rank ${rankOf}.`);
  }
  return index;
}

/** The two ops without inputs to compute: graph inputs and constants. */
export const sourceOps = [inputOp, constantOp] as unknown as readonly Op[]; // each op reads only its own attributes

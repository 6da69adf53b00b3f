/**
 * A graph at known sizes: every symbol replaced by its number, and nothing empty left to compute. Kernels fail, give wrong
 * results or end the process on empty operands, each provider in its own way; so whatever an empty tensor stands for is
 * written into the graph here: zeros for a sum over nothing, the other parts for a concat.
 */
import { type Dim, evaluateDim, SymbolicDim } from "../tensor/dims.ts";
import { reachableInputs, topologicalOrder } from "../tensor/graph.ts";
import { broadcastTo } from "../tensor/ops/structure.ts";
import { type Attrs, apply, constant, input, inputName, type Tensor } from "../tensor/tensor.ts";
import type { Graph } from "./trace.ts";
import { allocate, elementCount } from "./values.ts";

export type Sizes = ReadonlyMap<string, number>;

/** Ops that only move or rename elements: every provider takes empty ones (the first past of a cache is such a tensor). */
const MOVES = new Set([
  "input",
  "constant",
  "reshape",
  "transpose",
  "slice",
  "pad",
  "concat",
  "cast",
  "stopGradient",
]);

/** Whether a run with these sizes would hand empty operands to a kernel that computes. */
export function computesOnEmpty(outputs: readonly Tensor[], sizes: Sizes): boolean {
  const isEmpty = (node: Tensor): boolean => node.shape.some((dim) => evaluateDim(dim, sizes) === 0);
  return topologicalOrder(outputs).some(
    (node) => !MOVES.has(node.op.name) && (isEmpty(node) || node.inputs.some(isEmpty)),
  );
}

/** A graph of the same outputs at these sizes, without an empty operand. Inputs and weights keep their names. */
export function fixSizes(outputs: readonly (readonly [string, Tensor])[], sizes: Sizes): Graph {
  const nodes = new Map<Tensor, Tensor>();
  for (const node of topologicalOrder(outputs.map(([, tensor]) => tensor)))
    nodes.set(node, fixNode(node, nodes, sizes));
  const fixed = Object.fromEntries(outputs.map(([name, node]) => [name, nodes.get(node) as Tensor])); // visited
  const inputs = Object.fromEntries(reachableInputs(Object.values(fixed)));
  return { inputs, outputs: fixed, weights: new Map() };
}

const hasElements = (node: Tensor): boolean => elementCount(node.shape as readonly number[]) > 0; // sizes are fixed

function fixNode(node: Tensor, fixed: ReadonlyMap<Tensor, Tensor>, sizes: Sizes): Tensor {
  const shape = node.shape.map((dim) => evaluateDim(dim, sizes));
  if (elementCount(shape) === 0) return constant(allocate(node.dtype, 0), shape);
  const name = inputName(node);
  if (name !== undefined) return input(name, { dtype: node.dtype, shape });
  const inputs = node.inputs.map((x) => fixed.get(x) as Tensor); // inputs come first
  const attrs = fixAttribute(node.attrs, sizes) as Attrs; // the same form
  if (inputs.every(hasElements)) return apply(node.op, inputs, attrs);
  if (node.op.overNothing !== undefined) return node.op.overNothing(inputs.filter(hasElements), shape, attrs);
  return broadcastTo(constant(allocate(node.dtype, 1), []), shape);
}

/** Dims become numbers wherever they stand in an attribute. */
function fixAttribute(value: unknown, sizes: Sizes): unknown {
  if (value instanceof SymbolicDim) return evaluateDim(value as Dim, sizes);
  if (Array.isArray(value)) return value.map((item) => fixAttribute(item, sizes));
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fixAttribute(item, sizes)]));
}

/**
 * Reverse-mode differentiation as a graph transform: gradients are ordinary graphs, so they can be differentiated again.
 */
import { addDims, type Dim, dimsEqual, shapesEqual, shapeText } from "./dims.ts";
import { NextxError } from "./errors.ts";
import { topologicalOrder } from "./graph.ts";
import { add } from "./ops/elementwise.ts";
import { broadcastTo, concat, padRange } from "./ops/structure.ts";
import { scalar, type Tensor } from "./tensor.ts";

/** Gradients of several slices that tile an axis are joined instead of padded and added. */
function joinTiles(parts: readonly Tensor[]): Tensor | undefined {
  const ranges = parts.map(padRange);
  const axis = ranges[0]?.axis;
  if (axis === undefined || ranges.some((range) => range?.axis !== axis)) return undefined;
  const length = (parts[0] as Tensor).shape[axis] as Dim; // axis of an existing pad
  const ordered: Tensor[] = [];
  let end: Dim = 0;
  while (ordered.length < parts.length) {
    const next = ranges.findIndex((range) => range !== undefined && dimsEqual(range.start, end));
    const range = ranges[next];
    if (range === undefined || dimsEqual(range.end, end)) return undefined;
    ordered.push((parts[next] as Tensor).inputs[0] as Tensor); // the padded tensor
    end = addDims(range.end);
  }
  return dimsEqual(end, length) ? concat(ordered, axis) : undefined;
}

function total(parts: readonly Tensor[]): Tensor {
  if (parts.length > 1) {
    const joined = joinTiles(parts);
    if (joined) return joined;
  }
  return parts.reduce((a, b) => add(a, b));
}

/**
 * Gradients of a scalar with respect to float32 tensors of its graph (inputs or any intermediate tensor).
 * A tensor the loss does not depend on gets zeros. Errors: GRAD_NOT_SCALAR, GRAD_NOT_FLOAT.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.shape.length !== 0) {
    throw new NextxError("GRAD_NOT_SCALAR", `A gradient needs a scalar loss, got ${shapeText(loss.shape)}.`);
  }
  return vectorJacobian([loss], [scalar(1)], wrt);
}

/** Sum over outputs of (cotangent)^T d output / d wrt. Errors: GRAD_NOT_FLOAT, SHAPE_MISMATCH. */
export function vectorJacobian(
  outputs: readonly Tensor[],
  cotangents: readonly Tensor[],
  wrt: readonly Tensor[],
): Tensor[] {
  for (const x of [...outputs, ...wrt]) {
    if (x.dtype !== "float32") throw new NextxError("GRAD_NOT_FLOAT", `No gradient for ${x.dtype} tensors.`);
  }
  for (const [i, output] of outputs.entries()) {
    const shape = cotangents[i]?.shape;
    if (shape === undefined || !shapesEqual(shape, output.shape)) {
      const got = shape === undefined ? "none" : shapeText(shape);
      throw new NextxError("SHAPE_MISMATCH", `The cotangent of ${shapeText(output.shape)} is ${got}.`);
    }
  }
  const order = topologicalOrder(outputs);
  const needed = new Set<Tensor>(wrt);
  for (const node of order) if (node.inputs.some((x) => needed.has(x))) needed.add(node);
  const parts = new Map<Tensor, Tensor[]>();
  const contribute = (x: Tensor, gradient: Tensor): void => {
    const list = parts.get(x);
    if (list === undefined) parts.set(x, [gradient]);
    else list.push(gradient);
  };
  for (const [i, output] of outputs.entries()) contribute(output, cotangents[i] as Tensor); // lengths checked
  const result = new Map<Tensor, Tensor>();
  for (const node of order.reverse()) {
    const list = parts.get(node);
    if (list === undefined || !needed.has(node)) continue;
    parts.delete(node);
    const gradient = total(list);
    result.set(node, gradient);
    if (!node.inputs.some((x) => needed.has(x))) continue;
    node.op.gradient(node, gradient).forEach((g, i) => {
      const x = node.inputs[i] as Tensor; // one gradient per input
      if (g !== null && needed.has(x)) contribute(x, g);
    });
  }
  return wrt.map((x) => result.get(x) ?? broadcastTo(scalar(0), x.shape));
}

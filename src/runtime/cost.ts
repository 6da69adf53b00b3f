/** Work of a graph, counted from shapes: multiply-adds of products and convolutions. Elementwise work is not counted. */
import { evaluateDim } from "../tensor/dims.ts";
import { topologicalOrder } from "../tensor/graph.ts";
import { dimOf, type Tensor } from "../tensor/tensor.ts";
import type { Device } from "./device.ts";
import { symbolSources } from "./onnx.ts";
import type { Graph } from "./trace.ts";
import type { Value } from "./values.ts";

type Count = (
  node: Tensor,
  size: (tensor: Tensor) => number,
  dim: (tensor: Tensor, axis: number) => number,
) => number;

const input = (node: Tensor, i: number): Tensor => node.inputs[i] as Tensor; // arity of the op

/** Multiply-adds per op: what every element of one operand or of the result is multiplied with. */
const counts: Readonly<Record<string, Count>> = {
  matmul: (node, size, dim) => {
    const { transA } = node.attrs as { transA?: boolean };
    return size(node) * dim(input(node, 0), transA ? -2 : -1);
  },
  linear: (node, size, dim) => size(node) * dim(input(node, 1), 1),
  conv2d: (node, size, dim) => {
    const weight = input(node, 1);
    return size(node) * dim(weight, 1) * dim(weight, 2) * dim(weight, 3);
  },
  conv2dInputGradient: (node, size, dim) => {
    const weight = input(node, 1);
    return size(input(node, 0)) * dim(weight, 1) * dim(weight, 2) * dim(weight, 3);
  },
  conv2dWeightGradient: (node, size, dim) =>
    size(input(node, 1)) * dim(node, 1) * dim(node, 2) * dim(node, 3),
};

/** Multiply-adds of everything the outputs need, with values for the symbols. @throws NextxError DIM_UNBOUND */
export function multiplyAdds(
  outputs: readonly Tensor[],
  symbols: ReadonlyMap<string, number> = new Map(),
): number {
  const dim = (tensor: Tensor, axis: number) => evaluateDim(dimOf(tensor, axis), symbols);
  const size = (tensor: Tensor) =>
    tensor.shape.reduce<number>((n, side) => n * evaluateDim(side, symbols), 1);
  return topologicalOrder(outputs).reduce(
    (total, node) => total + (counts[node.op.name]?.(node, size, dim) ?? 0),
    0,
  );
}

/** Multiply-adds of one run of a graph with these inputs. @throws NextxError DIM_UNBOUND when an input is missing */
export function runMultiplyAdds(graph: Graph, values: Readonly<Record<string, Value>>): number {
  const symbols = new Map<string, number>();
  for (const [name, { input: source, axis }] of symbolSources(Object.entries<Tensor>(graph.inputs))) {
    const side = values[source]?.shape[axis];
    if (side !== undefined) symbols.set(name, side);
  }
  return multiplyAdds(Object.values(graph.outputs), symbols);
}

/** A device that adds up the multiply-adds of what it runs, for programs that are compiled with it. */
export function counting(device: Device): { readonly device: Device; take(): number } {
  let [total, compiled]: [number, Graph | undefined] = [0, undefined];
  const counted: Device = {
    ...device,
    prepare: (graph, weights) => {
      compiled = device.prepare?.(graph, weights) ?? graph;
      return compiled;
    },
    createSession: async (model, options) => {
      const graph = compiled; // compiling prepares a graph and asks for its session without a pause between
      const session = await device.createSession(model, options);
      return {
        run: (feeds, outputs) => {
          if (graph) total += runMultiplyAdds(graph, Object.fromEntries(feeds));
          return session.run(feeds, outputs);
        },
        [Symbol.dispose]: () => session[Symbol.dispose](),
      };
    },
  };
  const take = () => {
    const taken = total;
    total = 0;
    return taken;
  };
  return { device: counted, take };
}

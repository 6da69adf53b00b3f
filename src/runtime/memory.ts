/** Peak memory of a graph, computed from shapes and liveness before anything runs. */
import { evaluateDim } from "../tensor/dims.ts";
import { topologicalOrder } from "../tensor/graph.ts";
import { inputName, type Tensor } from "../tensor/tensor.ts";

/** Ops whose result shares the memory of their input. */
const ALIASES = new Set(["reshape", "stopGradient"]);

export function tensorBytes(tensor: Tensor, symbols: ReadonlyMap<string, number>): number {
  const elements = tensor.shape.reduce<number>((product, dim) => product * evaluateDim(dim, symbols), 1);
  return elements * (tensor.dtype === "bool" ? 1 : 4);
}

/** Bytes of constants that a node carries in its attributes: weights of few bits. */
function carriedBytes(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return 0;
  return Object.values(value).reduce<number>((total, item) => total + carriedBytes(item), 0);
}

/**
 * Largest number of bytes alive at once: inputs, weights and constants throughout, every other tensor from its node to
 * its last user, outputs to the end. The runtime's own rounding and scratch space come on top.
 */
export function peakBytes(outputs: readonly Tensor[], symbols: ReadonlyMap<string, number>): number {
  const order = topologicalOrder(outputs);
  const owners = new Map<Tensor, Tensor>();
  for (const node of order) {
    const shared = ALIASES.has(node.op.name) ? owners.get(node.inputs[0] as Tensor) : undefined; // inputs come first
    owners.set(node, shared ?? node);
  }
  const owner = (node: Tensor): Tensor => owners.get(node) ?? node;
  const lastUse = new Map<Tensor, number>();
  order.forEach((node, step) => {
    for (const x of node.inputs) lastUse.set(owner(x), step);
  });
  for (const output of outputs) lastUse.set(owner(output), order.length);
  const ends = new Map<number, Tensor[]>();
  for (const [node, step] of lastUse) {
    const list = ends.get(step);
    if (list === undefined) ends.set(step, [node]);
    else list.push(node);
  }
  const resident = (node: Tensor) => inputName(node) !== undefined || node.op.name === "constant";
  let live = order.reduce(
    (total, node) => total + (resident(node) ? tensorBytes(node, symbols) : carriedBytes(node.attrs)),
    0,
  );
  let peak = live;
  order.forEach((node, step) => {
    if (!resident(node) && owner(node) === node) live += tensorBytes(node, symbols);
    peak = Math.max(peak, live);
    for (const dead of ends.get(step) ?? []) if (!resident(dead)) live -= tensorBytes(dead, symbols);
  });
  return peak;
}

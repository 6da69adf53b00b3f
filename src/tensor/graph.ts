/** Walking graphs: topological order and rebuilding with replaced nodes. Iterative, so depth is not limited by the stack. */
import { NextxError } from "./errors.ts";
import { apply, inputName, type Tensor } from "./tensor.ts";

/** Every node that the roots reach, inputs before users, in a deterministic order; `known` nodes are not entered. */
export function topologicalOrder(roots: readonly Tensor[], known?: { has(node: Tensor): boolean }): Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  const done = new Set<Tensor>();
  const stack: Tensor[] = roots.filter((node) => !known?.has(node)).reverse();
  while (stack.length > 0) {
    const node = stack[stack.length - 1] as Tensor; // length > 0
    if (done.has(node)) {
      stack.pop();
    } else if (seen.has(node)) {
      stack.pop();
      done.add(node);
      order.push(node);
    } else {
      seen.add(node);
      for (let i = node.inputs.length - 1; i >= 0; i--) {
        const next = node.inputs[i] as Tensor; // in range
        if (!seen.has(next) && !known?.has(next)) stack.push(next);
      }
    }
  }
  return order;
}

/** The graph inputs that the roots reach, by name. @throws NextxError GRAPH_NAME_CLASH for two inputs of one name */
export function reachableInputs(roots: readonly Tensor[]): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const node of topologicalOrder(roots)) {
    const name = inputName(node);
    if (name === undefined) continue;
    if (found.has(name)) {
      throw new NextxError("GRAPH_NAME_CLASH", `Two different tensors are named "${name}".`, { path: name });
    }
    found.set(name, node);
  }
  return found;
}

/** Rebuilds the outputs with some nodes replaced; `replace` sees nodes whose inputs are replaced already. */
export function rewrite<O extends string>(
  outputs: Readonly<Record<O, Tensor>>,
  replace: (node: Tensor) => Tensor | undefined,
): Record<O, Tensor> {
  const replaced = new Map<Tensor, Tensor>();
  for (const node of topologicalOrder(Object.values<Tensor>(outputs))) {
    const inputs = node.inputs.map((x) => replaced.get(x) as Tensor); // inputs come first
    const same = inputs.every((x, i) => x === node.inputs[i]);
    const rebuilt = same ? node : apply(node.op, inputs, node.attrs);
    replaced.set(node, replace(rebuilt) ?? rebuilt);
  }
  const entries = Object.entries<Tensor>(outputs).map(([name, node]) => [name, replaced.get(node)]);
  return Object.fromEntries(entries) as Record<O, Tensor>; // every output was visited
}

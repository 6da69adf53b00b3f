/**
 * Graph simplification: algebraic rules of the ops, scalar folding and common sub-expressions; dead nodes vanish because
 * only what the outputs reach is rebuilt. Passes never change values beyond round-off of folded scalars and the sign of a
 * zero (x + 0 becomes x, which keeps -0); NaN and infinities stay what and where they are.
 */
import type { Shape } from "./dims.ts";
import { topologicalOrder } from "./graph.ts";
import { apply, constant, constantData, constantValue, inputName, type Tensor } from "./tensor.ts";

type Keys = Map<object, number>;

/** Identity of plain attribute data; typed arrays of more than one element count by reference. */
function attributeKey(value: unknown, ids: Keys): string {
  if (ArrayBuffer.isView(value)) {
    const data = value as unknown as ArrayLike<number>; // typed arrays only
    if (data.length === 1) return `${value.constructor.name}(${Object.is(data[0], -0) ? "-0" : data[0]})`;
    if (!ids.has(value)) ids.set(value, ids.size);
    return `#${ids.get(value)}`;
  }
  if (Array.isArray(value)) return `[${value.map((item) => attributeKey(item, ids)).join(",")}]`;
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return `{${Object.entries(value).map(([name, item]) => `${name}:${attributeKey(item, ids)}`)}}`;
  }
  return Object.is(value, -0) ? "-0" : String(value); // numbers, text, dims
}

function nodeKey(node: Tensor, ids: Keys): string {
  const inputs = node.inputs.map((x) => {
    if (!ids.has(x)) ids.set(x, ids.size);
    return ids.get(x);
  });
  const attrs = Object.keys(node.attrs)
    .sort()
    .map((name) => `${name}=${attributeKey(node.attrs[name], ids)}`);
  return `${node.op.name}(${inputs.join(",")};${attrs.join(";")})`;
}

function fold(node: Tensor): Tensor | undefined {
  const { scalar } = node.op;
  if (scalar === undefined || node.dtype !== "float32" || node.inputs.length === 0) return undefined;
  const values = node.inputs.map(constantValue);
  if (!values.every((v) => v !== undefined)) return undefined;
  const shape = node.shape as Shape & readonly number[]; // inputs are constants, so every dim is a number
  return constant(
    Float32Array.of(scalar(...values)),
    shape.map(() => 1),
  );
}

/** Rebuilds the graph of the outputs, simplified; keeps names and order. Inputs stay the same objects. */
export function simplify(outputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const ids: Keys = new Map();
  const unique = new Map<string, Tensor>();
  const replaced = new Map<Tensor, Tensor>();
  const intern = (node: Tensor): Tensor => {
    if (inputName(node) !== undefined) return node;
    const key = nodeKey(node, ids);
    const known = unique.get(key);
    if (known !== undefined) return known;
    unique.set(key, node);
    return node;
  };
  /** Simplifies until nothing applies; every node made on the way is interned from its inputs upwards. */
  const settle = (node: Tensor): Tensor => {
    for (const inner of topologicalOrder([node], replaced)) {
      const inputs = inner.inputs.map((x) => replaced.get(x) ?? x);
      const same = inputs.every((x, i) => x === inner.inputs[i]);
      const rebuilt = same ? inner : apply(inner.op, inputs, inner.attrs);
      const simpler = fold(rebuilt) ?? rebuilt.op.simplify?.(rebuilt);
      const result = simpler === undefined || simpler === rebuilt ? intern(rebuilt) : settle(simpler);
      replaced.set(inner, result);
      replaced.set(result, result);
    }
    return replaced.get(node) ?? node;
  };
  for (const node of topologicalOrder(Object.values(outputs))) settle(node);
  return Object.fromEntries(
    Object.entries(outputs).map(([name, node]) => [name, replaced.get(node) ?? node]),
  );
}

/** Number of nodes that will be computed (inputs and constants not counted). */
export function countNodes(outputs: Readonly<Record<string, Tensor>>): number {
  return topologicalOrder(Object.values(outputs)).filter(
    (node) => inputName(node) === undefined && constantData(node) === undefined,
  ).length;
}

/**
 * From a function over tensors to a graph with named inputs, weights and outputs. Everything the outputs reach that is
 * not a declared input is a weight: bound as a constant for inference, fed with every run for training.
 */
import { NextxError } from "../tensor/errors.ts";
import { reachableInputs } from "../tensor/graph.ts";
import { simplify } from "../tensor/passes.ts";
import { input, type Tensor, type TensorSpec } from "../tensor/tensor.ts";

/** A traced function. `I` and `O` are the names of its inputs and outputs. */
export interface Graph<I extends string = string, O extends string = string> {
  readonly inputs: Readonly<Record<I, Tensor>>;
  readonly outputs: Readonly<Record<O, Tensor>>;
  /** Parameters the outputs reach, by checkpoint name. */
  readonly weights: ReadonlyMap<string, Tensor>;
}

/**
 * Traces `describe` once. Unused inputs are allowed (they are simply not part of the compiled program).
 * Outputs may be named like inputs: a step takes `total` and gives the next `total`.
 * Errors: GRAPH_NAME_CLASH when an input and a weight, or two weights, share a name.
 */
export function trace<
  I extends Readonly<Record<string, TensorSpec>>,
  O extends Readonly<Record<string, Tensor>>,
>(
  specs: I,
  describe: (inputs: { readonly [K in keyof I]: Tensor }) => O,
  options: { readonly simplify?: boolean } = {},
): Graph<keyof I & string, keyof O & string> {
  const inputs = Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [name, input(name, spec)]),
  ) as {
    [K in keyof I]: Tensor; // same keys by construction
  };
  const described = describe(inputs);
  // simplify keeps the keys
  const outputs = (options.simplify === false ? described : simplify(described)) as Record<
    keyof O & string,
    Tensor
  >;
  const weights = new Map<string, Tensor>();
  for (const [name, tensor] of reachableInputs(Object.values(outputs))) {
    const declared = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
    if (declared === tensor) continue;
    if (declared !== undefined) {
      throw new NextxError("GRAPH_NAME_CLASH", `"${name}" is both an input and a weight.`, { path: name });
    }
    weights.set(name, tensor);
  }
  return { inputs, outputs, weights };
}

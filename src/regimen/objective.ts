/** From a loss to a training graph: the loss, its metrics and the gradient of every trainable parameter in one program. */
import type { Scope } from "../nn/scope.ts";
import { type Graph, trace } from "../runtime/trace.ts";
import { NextxError } from "../tensor/errors.ts";
import { grad } from "../tensor/grad.ts";
import type { Tensor, TensorSpec } from "../tensor/tensor.ts";

/** A loss and what is worth watching; scalars or small vectors. */
export interface Objective {
  readonly loss: Tensor;
  readonly metrics: Readonly<Record<string, Tensor>>;
}

const GRADIENT = "gradient:";

/** Output names: `loss`, `metric:<name>`, `gradient:<parameter>`. Errors: GRAPH_NO_PARAMETERS. */
export function trainingGraph(
  specs: Readonly<Record<string, TensorSpec>>,
  scope: Scope,
  describe: (inputs: Readonly<Record<string, Tensor>>) => Objective,
  trainable: (name: string) => boolean = () => true,
): Graph {
  return trace(specs, (inputs) => {
    const { loss, metrics } = describe(inputs);
    const parameters = [...scope.tensors].filter(([name]) => trainable(name));
    if (parameters.length === 0) throw new NextxError("GRAPH_NO_PARAMETERS", "Nothing is trainable.");
    const gradients = grad(
      loss,
      parameters.map(([, tensor]) => tensor),
    );
    return {
      loss,
      ...Object.fromEntries(Object.entries(metrics).map(([name, tensor]) => [`metric:${name}`, tensor])),
      ...Object.fromEntries(parameters.map(([name], i) => [GRADIENT + name, gradients[i] as Tensor])), // one each
    };
  });
}

/** Parameter name of a gradient output, or undefined. */
export function gradientName(output: string): string | undefined {
  return output.startsWith(GRADIENT) ? output.slice(GRADIENT.length) : undefined;
}

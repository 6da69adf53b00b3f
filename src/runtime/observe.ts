/**
 * Watches the layers of programs while a model computes: which weights it multiplies with, what goes into and comes out of
 * its convolutions, and how far another form of a layer is from the one that computed. Extra outputs are added to every
 * graph of an observing device; what the model computes stays the same.
 */

import { mulDims } from "../tensor/dims.ts";
import { topologicalOrder } from "../tensor/graph.ts";
import { mul, neg, square, sub } from "../tensor/ops/elementwise.ts";
import { argmaxLast, pickLast } from "../tensor/ops/gather.ts";
import { reshape, sum } from "../tensor/ops/structure.ts";
import { dimOf, inputName, type Tensor } from "../tensor/tensor.ts";
import type { Device } from "./device.ts";
import { type Layer, layerOf } from "./quantised.ts";
import type { Graph } from "./trace.ts";
import type { Value } from "./values.ts";

/** Least and largest value of a tensor over everything that was computed. */
export interface Range {
  readonly least: number;
  readonly most: number;
}

/** What was seen of the layers of one weight. */
export interface ObservedLayer {
  readonly name: string;
  readonly kind: Layer["kind"];
  readonly shape: readonly number[];
  /** Whether anything but layers of this kind used the weight. */
  otherUses: boolean;
  /** Names of the weights that are its biases. */
  readonly biases: Set<string>;
  /** Of convolutions. */
  input?: Range;
  output?: Range;
  /** Sum of squares of outputs, and of their differences from the other form. */
  size: number;
  difference: number;
}

/** Relative error of a layer's other form: root mean square difference over root mean square output. */
export const relativeError = ({ size, difference }: ObservedLayer): number =>
  size === 0 ? 0 : Math.sqrt(difference / size);

/** What to find out besides which layers there are. */
export interface Questions {
  /** Ranges of convolutions. */
  readonly ranges?: boolean;
  /** Another form of a layer, to be compared with it. */
  readonly otherForm?: (layer: Layer) => Tensor | undefined;
}

const prefix = "nextx.observed";

/** Largest entry of each channel of each picture: x [B, C, H, W] -> [B C]. */
function largest(x: Tensor): Tensor {
  const rows = reshape(x, [mulDims(dimOf(x, 0), dimOf(x, 1)), mulDims(dimOf(x, 2), dimOf(x, 3))]);
  return pickLast(rows, argmaxLast(rows));
}

const rangeOutputs = (x: Tensor) => ({ most: largest(x), least: neg(largest(mul(x, -1))) });

export class LayerObserver {
  readonly #questions: Questions;
  readonly #layers = new Map<string, ObservedLayer>();
  readonly #otherUses = new Set<string>();

  constructor(questions: Questions = {}) {
    this.#questions = questions;
  }

  /** Every layer that was compiled so far, by the name of its weight. */
  get layers(): ReadonlyMap<string, ObservedLayer> {
    for (const [name, layer] of this.#layers) layer.otherUses = this.#otherUses.has(name);
    return this.#layers;
  }

  /** The device, watched. */
  watch(device: Device): Device {
    return {
      ...device,
      prepare: (graph, weights) => this.#prepare(graph, weights),
      createSession: async (model, options) => {
        const session = await device.createSession(model, options);
        return {
          run: async (feeds, outputs) => {
            const results = await session.run(feeds, outputs);
            for (const [name, value] of Object.entries(results)) this.#note(name, value);
            return results;
          },
          [Symbol.dispose]: () => session[Symbol.dispose](),
        };
      },
    };
  }

  #prepare(graph: Graph, weights: ReadonlyMap<string, Value>): Graph {
    const outputs: Record<string, Tensor> = { ...graph.outputs };
    let count = 0;
    for (const node of topologicalOrder(Object.values(graph.outputs))) {
      const layer = layerOf(node);
      const isLayer = layer !== undefined && weights.has(layer.name);
      for (const [i, x] of node.inputs.entries()) {
        const name = inputName(x);
        if (name !== undefined && !(isLayer && i === 1)) this.#otherUses.add(name);
      }
      if (!isLayer) continue;
      this.#remember(layer);
      for (const [what, tensor] of Object.entries(this.#measured(layer)))
        outputs[`${prefix} ${what} ${count++} ${layer.name}`] = tensor;
    }
    return { ...graph, outputs };
  }

  #remember({ name, kind, node, bias }: Layer): void {
    const known = this.#layers.get(name);
    if (known !== undefined && known.kind !== kind) this.#otherUses.add(name);
    const shape = (node.inputs[1] as Tensor).shape as readonly number[]; // a weight
    const fresh = { name, kind, shape, otherUses: false, biases: new Set<string>(), size: 0, difference: 0 };
    const layer = known ?? fresh;
    this.#layers.set(name, layer);
    const biasName = bias && inputName(bias);
    if (biasName !== undefined) layer.biases.add(biasName);
  }

  #measured(layer: Layer): Record<string, Tensor> {
    const { ranges, otherForm } = this.#questions;
    const other = otherForm?.(layer);
    const sides = ranges === true &&
      layer.kind === "convolution" && {
        input: rangeOutputs(layer.x),
        output: rangeOutputs(layer.node),
      };
    return {
      ...(sides && {
        "input.most": sides.input.most,
        "input.least": sides.input.least,
        "output.most": sides.output.most,
        "output.least": sides.output.least,
      }),
      ...(other && { size: sum(square(layer.node)), difference: sum(square(sub(other, layer.node))) }),
    };
  }

  #note(output: string, { data }: Value): void {
    if (!output.startsWith(prefix)) return;
    const [, what = "", , ...words] = output.split(" ");
    const layer = this.#layers.get(words.join(" "));
    if (layer === undefined) return;
    if (what === "size" || what === "difference") {
      layer[what] += data[0] as number; // a scalar
      return;
    }
    const [side, end] = what.split(".") as ["input" | "output", "least" | "most"]; // as they were named
    const { least, most } = layer[side] ?? {
      least: Number.POSITIVE_INFINITY,
      most: Number.NEGATIVE_INFINITY,
    };
    const values = data as Float32Array; // what is observed is float32
    layer[side] =
      end === "least"
        ? { least: values.reduce((a, b) => Math.min(a, b), least), most }
        : { least, most: values.reduce((a, b) => Math.max(a, b), most) };
  }
}

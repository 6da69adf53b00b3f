/**
 * Weights of few bits in any model. A `QuantisedValue` stands where a float weight would: whatever reads its numbers gets
 * float32, and graphs whose products and convolutions take it are rewritten to integer layers before they are lowered. So
 * every system runs quantised without knowing of it, and what no integer layer covers stays right.
 */
import { reachableInputs, rewrite } from "../tensor/graph.ts";
import { fromLowBits, type LowBitWeight, toSevenBits } from "../tensor/lowBits.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { type ByteRange, int4Linear, int8Conv2d, int8Linear } from "../tensor/ops/quantised.ts";
import { inputName, type Tensor } from "../tensor/tensor.ts";
import type { Graph } from "./trace.ts";
import type { Value } from "./values.ts";

/** What goes into and comes out of a convolution, as bytes. */
export interface ConvRanges {
  readonly input: ByteRange;
  readonly output: ByteRange;
}

/** A weight of few bits as a value of a program. */
export class QuantisedValue implements Value {
  readonly weight: LowBitWeight;
  /** Calibrated ranges of a convolution; without them it computes in float32. */
  readonly ranges: ConvRanges | undefined;

  constructor(weight: LowBitWeight, ranges?: ConvRanges) {
    this.weight = weight;
    this.ranges = ranges;
  }

  get shape(): readonly number[] {
    return this.weight.shape;
  }

  /** The numbers that the codes stand for, made anew each time. */
  get data(): Float32Array {
    return fromLowBits(this.weight);
  }
}

/** A product with or convolution by a named weight. */
export interface Layer {
  /** Of the weight. */
  readonly name: string;
  readonly kind: "linear" | "convolution";
  readonly node: Tensor;
  /** Float activations that enter: [M, in] or [B, I, H, W]. */
  readonly x: Tensor;
  /** [out], where the layer has one. */
  readonly bias: Tensor | undefined;
}

/** The layer that a node is: x W^T over rows with or without bias, or a convolution, where W is a graph input. */
export function layerOf(node: Tensor): Layer | undefined {
  const [x, weight, bias] = node.inputs;
  const name = weight && inputName(weight);
  if (x === undefined || weight === undefined || name === undefined) return undefined;
  if (node.op.name === "conv2d") return { name, kind: "convolution", node, x, bias };
  const { transA, transB } = node.attrs;
  const isProduct =
    node.op.name === "linear" || (node.op.name === "matmul" && transA === false && transB === true);
  const isRows = x.shape.length === 2 && weight.shape.length === 2;
  return isProduct && isRows ? { name, kind: "linear", node, x, bias } : undefined;
}

/** Bits that a weight of int8 may use on some processor. */
export type WeightBits = 7 | 8;

/** The layer over a weight of few bits; undefined when its form has none. */
export function quantisedLayer(
  { node, x, bias, kind }: Layer,
  { weight, ranges }: QuantisedValue,
  bits: WeightBits,
): Tensor | undefined {
  const held = weight.kind === "int8" && bits === 7 ? toSevenBits(weight) : weight;
  if (kind === "convolution") {
    if (held.kind !== "int8" || ranges === undefined) return undefined;
    const { stride, pads } = node.attrs as { stride: number; pads: [number, number, number, number] }; // conv2d's own
    return int8Conv2d(x, held, ranges, { stride, pads, bias });
  }
  const product = held.kind === "int8" ? int8Linear(x, held) : int4Linear(x, held);
  return bias === undefined ? product : add(product, bias);
}

/** The graph with integer layers where the given weights are of few bits; the same graph where none is. */
export function withQuantisedLayers<I extends string, O extends string>(
  graph: Graph<I, O>,
  weights: ReadonlyMap<string, Value>,
  bits: WeightBits = 8,
): Graph<I, O> {
  const quantisedOf = (name: string): QuantisedValue | undefined => {
    const value = weights.get(name);
    return value instanceof QuantisedValue ? value : undefined;
  };
  if (![...weights.values()].some((value) => value instanceof QuantisedValue)) return graph;
  const outputs = rewrite(graph.outputs, (node) => {
    const layer = layerOf(node);
    const value = layer && quantisedOf(layer.name);
    return layer && value && quantisedLayer(layer, value, bits);
  });
  const left = reachableInputs(Object.values<Tensor>(outputs));
  const kept = [...graph.weights].filter(([name]) => left.has(name));
  return { inputs: graph.inputs, outputs, weights: new Map(kept) };
}

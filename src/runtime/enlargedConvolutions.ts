/**
 * Convolutions over enlarged maps, computed on the maps themselves. A 3 x 3 kernel over sites that each stand twice per axis
 * meets two rows and two columns of the map only, which ones depends on the parity of the output's row and column: four
 * 2 x 2 convolutions, whose kernels hold sums of the weight, take four ninths of the multiply-adds for the same numbers to
 * rounding. Only where weights are constants, whose sums the runtime takes once.
 */
import { mulDims } from "../tensor/dims.ts";
import { rewrite } from "../tensor/graph.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { conv2d, conv2dBias } from "../tensor/ops/linear.ts";
import { concat, reshape, slice } from "../tensor/ops/structure.ts";
import { dimOf, inputName, type Tensor } from "../tensor/tensor.ts";
import type { Graph } from "./trace.ts";

type Parity = 0 | 1;
const parities: readonly Parity[] = [0, 1];

/** Three taps along an axis as the two that a row (or column) of this parity meets: w0, w1 + w2 or w0 + w1, w2. */
function merged(weight: Tensor, axis: number, parity: Parity): Tensor {
  const taps = (from: number) => slice(weight, axis, from, from + 1);
  const parts = parity === 0 ? [taps(0), add(taps(1), taps(2))] : [add(taps(0), taps(1)), taps(2)];
  return concat(parts, axis);
}

/** Maps of even and odd places along an axis in turn: 2 x [.., n, ..] -> [.., 2 n, ..]. */
function interleaved(maps: readonly Tensor[], axis: number): Tensor {
  const apart = maps.map((map) => reshape(map, map.shape.toSpliced(axis + 1, 0, 1)));
  const { shape } = maps[0] as Tensor; // two maps
  return reshape(concat(apart, axis + 1), shape.with(axis, mulDims(2, dimOf(maps[0] as Tensor, axis))));
}

/** x [B, I, h, w], weight [O, I, 3, 3] -> [B, O, 2 h, 2 w]. */
function convolveEnlarged(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const rows = parities.map((row) => {
    const columns = parities.map((column) => {
      const kernel = merged(merged(weight, 2, row), 3, column);
      const pads = [1 - row, 1 - column, row, column] as const; // an even place meets the one before it, an odd one the next
      return bias ? conv2dBias(x, kernel, bias, { pads }) : conv2d(x, kernel, { pads });
    });
    return interleaved(columns, 3);
  });
  return interleaved(rows, 2);
}

/** The graph with such convolutions replaced; `held` tells which inputs are weights that do not change. */
export function withEnlargedConvolutions<I extends string, O extends string>(
  graph: Graph<I, O>,
  held: { has(name: string): boolean },
): Graph<I, O> {
  const outputs = rewrite(graph.outputs, (node) => {
    const [enlarged, weight, bias] = node.inputs;
    if (node.op.name !== "conv2d" || enlarged?.op.name !== "upsampleNearest" || weight === undefined) return;
    const { stride, pads } = node.attrs as { stride: number; pads: readonly number[] }; // conv2d's own
    const isUsual = enlarged.attrs.factor === 2 && stride === 1 && pads.every((pad) => pad === 1);
    const isHeld = weight.op.name === "constant" || held.has(inputName(weight) ?? "");
    if (!isUsual || !isHeld || String(weight.shape.slice(2)) !== "3,3") return;
    return convolveEnlarged(enlarged.inputs[0] as Tensor, weight, bias); // an enlarged map has one input
  });
  return { ...graph, outputs };
}

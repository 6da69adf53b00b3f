/**
 * The programs of cached generation, which serve every group, schedule and length. `branches` is 2 with guidance
 * (conditional rows first, then unconditional ones), else 1. Shape letters: G branches, B pictures, N sites, M past
 * sites, C width, H heads, V codes.
 */
import type { LayerOptions } from "../mixer/types.ts";
import { trace } from "../runtime/trace.ts";
import { mulDims, symbol } from "../tensor/dims.ts";
import { add, mul, sub } from "../tensor/ops/elementwise.ts";
import { reshape, slice } from "../tensor/ops/structure.ts";
import { dimOf, float32, int32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
import { alikeLayers, type CachedLayer, cacheSpecs, grownCaches, pastOf } from "./layerCaches.ts";
import type { CachedModel } from "./types.ts";

const B = symbol("B");

/** Labels of all rows [G, B], positions [1, N0, C] -> embedded first group [G, B, N0, C], and the modulations. */
export function startGraph(model: CachedModel, branches: number, firstSize: number) {
  const { width: c, depth } = model;
  const specs = { labels: int32(branches, B), positions: float32(1, firstSize, c) };
  return trace(specs, ({ labels, positions }) => {
    const condition = model.classVector(reshape(labels, [mulDims(branches, B)]));
    const { layers, head } = model.modulations(condition);
    return {
      x: reshape(add(model.start(condition, firstSize), positions), [branches, B, firstSize, c]),
      layers: reshape(layers, [branches, B, depth, 6, c]),
      head: reshape(head, [branches, B, 2, c]),
    };
  });
}

/** Labels [G, B] -> `layers` [G, B, to - from, 6, C]: a range of those of `startGraph`, over these layers' weights alone. */
export function modulationsGraph(model: CachedModel, branches: number, from: number, to: number) {
  return trace({ labels: int32(branches, B) }, ({ labels }) => {
    const { layers } = model.modulations(model.classVector(reshape(labels, [mulDims(branches, B)])));
    return { layers: reshape(slice(layers, 1, from, to), [branches, B, to - from, 6, model.width]) };
  });
}

/** Layers of a model as its cache has them. */
export const cachedLayers = ({ depth, width, numHeads }: CachedModel): CachedLayer[] =>
  alikeLayers(depth, { heads: numHeads, width: width / numHeads });

/** What a pass takes: sites x [G, B, N, C], modulations, and the weight of guidance where there are two branches. */
const passSpecs = ({ depth, width: c }: CachedModel, branches: number): Record<string, TensorSpec> => ({
  x: float32(branches, B, symbol("N"), c),
  layers: float32(branches, B, depth, 6, c),
  head: float32(branches, B, 2, c),
  ...(branches === 2 && { guidance: float32() }),
});

/** Guided logits [B, N, V] of a pass, and every layer's keys and values [G B, H, M + N, D]. */
function pass(
  model: CachedModel,
  branches: number,
  inputs: Readonly<Record<string, Tensor>>,
  options: (layer: number) => LayerOptions,
) {
  const flatten = (name: string) => {
    const value = inputs[name] as Tensor; // declared by `passSpecs`
    return reshape(value, [mulDims(branches, B), ...value.shape.slice(2)]);
  };
  const x = flatten("x");
  const modulations = { layers: flatten("layers"), head: flatten("head") };
  const { logits, caches } = model.blocks(x, modulations, options);
  const form = [branches, B, dimOf(x, 1), model.vocabSize];
  return { logits: guide(reshape(logits, form), inputs.guidance), caches };
}

/**
 * One pass over the sites of a group: x [G, B, N, C] with the past -> logits [B, N, V], guided as
 * (1 + t) conditional - t unconditional when there are two branches, and the caches including these sites.
 */
export function stepGraph(model: CachedModel, branches: number) {
  const rows = mulDims(branches, B);
  const past = cacheSpecs(cachedLayers(model), rows, symbol("M")); // as layers see them: a reshape of an output is a copy
  return trace({ ...passSpecs(model, branches), ...past }, (inputs) => {
    const options = (layer: number) => ({ past: pastOf(inputs, model.depth, layer) });
    const { logits, caches } = pass(model, branches, inputs, options);
    return { logits, ...grownCaches(caches) };
  });
}

/** As `stepGraph` for a group that sees only itself: no past comes in, no cache goes out. */
export function aloneGraph(model: CachedModel, branches: number) {
  return trace(passSpecs(model, branches), (inputs) => {
    const { logits } = pass(model, branches, inputs, () => ({}));
    return { logits };
  });
}

/** Guided logits: [G, B, N, V] -> [B, N, V]; `guidance` t broadcasts over the sites. */
export function guide(logits: Tensor, guidance: Tensor | undefined): Tensor {
  const branch = (i: number) => reshape(slice(logits, 0, i, i + 1), logits.shape.slice(1));
  if (guidance === undefined) return branch(0);
  return sub(mul(branch(0), add(guidance, 1)), mul(branch(1), guidance));
}

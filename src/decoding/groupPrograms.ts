/**
 * The programs of cached generation, which serve every group, schedule and length. `branches` is 2 with guidance
 * (conditional rows first, then unconditional ones), else 1. Shape letters: G branches, B pictures, N sites, M past
 * sites, C width, H heads, V codes.
 */
import { trace } from "../runtime/trace.ts";
import { mulDims, symbol } from "../tensor/dims.ts";
import { add, mul, sub } from "../tensor/ops/elementwise.ts";
import { reshape, slice } from "../tensor/ops/structure.ts";
import { float32, int32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
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

/**
 * One pass over the sites of a group: x [G, B, N, C] with the past -> logits [B, N, V], guided as
 * (1 + t) conditional - t unconditional when there are two branches, and the caches including these sites.
 */
export function stepGraph(model: CachedModel, branches: number) {
  const { depth, width: c } = model;
  const [N, M] = [symbol("N"), symbol("M")];
  const rows = mulDims(branches, B);
  const specs: Record<string, TensorSpec> = {
    x: float32(branches, B, N, c),
    layers: float32(branches, B, depth, 6, c),
    head: float32(branches, B, 2, c),
    ...(branches === 2 && { guidance: float32() }),
    ...cacheSpecs(cachedLayers(model), rows, M), // as layers see them: a reshape of an output is a copy
  };
  return trace(specs, (inputs) => {
    const get = (name: string): Tensor => inputs[name] as Tensor; // declared above
    const flatten = (x: Tensor) => reshape(x, [rows, ...x.shape.slice(2)]);
    const past = (i: number) => ({ past: pastOf(inputs, depth, i) });
    const modulations = { layers: flatten(get("layers")), head: flatten(get("head")) };
    const { logits, caches } = model.blocks(flatten(get("x")), modulations, past);
    return {
      logits: guide(reshape(logits, [branches, B, N, model.vocabSize]), inputs.guidance),
      ...grownCaches(caches),
    };
  });
}

/** As `stepGraph` for a group that sees only itself: no past comes in, no cache goes out. */
export function aloneGraph(model: CachedModel, branches: number) {
  const { depth, width: c } = model;
  const N = symbol("N");
  const rows = mulDims(branches, B);
  const specs: Record<string, TensorSpec> = {
    x: float32(branches, B, N, c),
    layers: float32(branches, B, depth, 6, c),
    head: float32(branches, B, 2, c),
    ...(branches === 2 && { guidance: float32() }),
  };
  return trace(specs, (inputs) => {
    const flatten = (name: string) => {
      const x = inputs[name] as Tensor; // declared above
      return reshape(x, [rows, ...x.shape.slice(2)]);
    };
    const modulations = { layers: flatten("layers"), head: flatten("head") };
    const { logits } = model.blocks(flatten("x"), modulations, () => ({}));
    return { logits: guide(reshape(logits, [branches, B, N, model.vocabSize]), inputs.guidance) };
  });
}

/** Guided logits: [G, B, N, V] -> [B, N, V]; `guidance` t broadcasts over the sites. */
export function guide(logits: Tensor, guidance: Tensor | undefined): Tensor {
  const branch = (i: number) => reshape(slice(logits, 0, i, i + 1), logits.shape.slice(1));
  if (guidance === undefined) return branch(0);
  return sub(mul(branch(0), add(guidance, 1)), mul(branch(1), guidance));
}

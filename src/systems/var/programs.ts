/**
 * The graphs of VAR that get compiled: tokenizer (encode, quantise, decode) and cached generation as programs that serve
 * every scale. Resizers, positions and lengths enter as data. `branches` is 2 with guidance (conditional rows first, then
 * unconditional ones), else 1. Shape letters: G branches, B pictures, N sites, M past sites, C width, V codes.
 */
import type { KeyValue } from "../../mixer/types.ts";
import { trace } from "../../runtime/trace.ts";
import { addDims, mulDims, symbol } from "../../tensor/dims.ts";
import { add, maximum, minimum, mul, sub } from "../../tensor/ops/elementwise.ts";
import { concat, reshape, slice } from "../../tensor/ops/structure.ts";
import { float32, int32, type Tensor, type TensorSpec } from "../../tensor/tensor.ts";
import type { VarTransformer } from "./model.ts";
import type { VarTokenizer } from "./tokenizer.ts";

const B = symbol("B");

function pictures(tokenizer: VarTokenizer): TensorSpec {
  const side = tokenizer.imageSize;
  return float32(B, tokenizer.config.inChannels, side, side);
}

/** Pictures -> features [B, C, P, P]. */
export function encodeGraph(tokenizer: VarTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => ({ features: tokenizer.encode(images) }));
}

/** Pictures -> ids [B, L] of all scales and the final reconstruction of the features. */
export function tokenizeGraph(tokenizer: VarTokenizer) {
  return trace({ images: pictures(tokenizer) }, ({ images }) => {
    const { ids, reconstructions } = tokenizer.quantise(tokenizer.encode(images));
    return {
      ids: concat(ids, 1),
      reconstructions: concat(
        reconstructions.map((map) => reshape(map, [B, 1, ...map.shape.slice(1)])),
        1,
      ), // (B, S, C, P, P)
    };
  });
}

/** Ids [B, L] -> running reconstructions (B, S, C, P, P). */
export function reconstructGraph(tokenizer: VarTokenizer) {
  return trace({ ids: int32(B, tokenizer.plan.length) }, ({ ids }) => ({
    reconstructions: concat(
      tokenizer.vq.reconstruct(ids).map((map) => reshape(map, [B, 1, ...map.shape.slice(1)])),
      1,
    ),
  }));
}

/** Features [B, C, P, P] -> pictures clamped to [-1, 1]. */
export function decodeGraph(tokenizer: VarTokenizer) {
  const side = tokenizer.vq.side;
  return trace({ features: float32(B, tokenizer.config.zChannels, side, side) }, ({ features }) => ({
    images: maximum(minimum(tokenizer.decode(features), 1), -1),
  }));
}

/** Labels of all rows [G, B] -> embedded first scale [G, B, N0, C] with position, and the modulations. */
export function startGraph(model: VarTransformer, branches: number) {
  const { embedDim: c } = model.config;
  const first = model.plan.groups[0]?.size ?? 0;
  return trace({ labels: int32(branches, B) }, ({ labels }) => {
    const condition = model.classVector(reshape(labels, [mulDims(branches, B)]));
    const { layers, head } = model.modulations(condition);
    const x = add(model.start(condition), slice(model.positions(), 1, 0, first));
    return {
      x: reshape(x, [branches, B, first, c]),
      layers: reshape(layers, [branches, B, model.config.depth, 6, c]),
      head: reshape(head, [branches, B, 2, c]),
    };
  });
}

/** The position table [1, L, C] (levels included), computed once. */
export function positionsGraph(model: VarTransformer) {
  return trace({}, () => ({ positions: model.positions() }));
}

const cacheName = (layer: number, part: "key" | "value") => `${part}${layer}`;

/** Names of the cache values of every layer, key then value. */
export function cacheNames(depth: number): string[] {
  return Array.from({ length: depth }, (_, i) => [cacheName(i, "key"), cacheName(i, "value")]).flat();
}

/**
 * One pass over the sites of a scale: x [G, B, N, C] with the past -> logits [B, N, V], guided as
 * (1 + t) conditional - t unconditional when there are two branches, and the caches including these sites.
 */
export function stepGraph(model: VarTransformer, branches: number) {
  const { depth, embedDim: c, numHeads } = model.config;
  const [N, M] = [symbol("N"), symbol("M")];
  const rows = mulDims(branches, B);
  const cache = float32(branches, B, numHeads, M, c / numHeads);
  const specs: Record<string, TensorSpec> = {
    x: float32(branches, B, N, c),
    layers: float32(branches, B, depth, 6, c),
    head: float32(branches, B, 2, c),
    ...(branches === 2 && { guidance: float32() }),
    ...Object.fromEntries(cacheNames(depth).map((name) => [name, cache])),
  };
  return trace(specs, (inputs) => {
    const get = (name: string): Tensor => inputs[name] as Tensor; // declared above
    const flatten = (x: Tensor) => reshape(x, [rows, ...x.shape.slice(2)]);
    const past = (i: number): KeyValue => ({
      key: flatten(get(cacheName(i, "key"))),
      value: flatten(get(cacheName(i, "value"))),
    });
    const modulations = { layers: flatten(get("layers")), head: flatten(get("head")) };
    const { logits, caches } = model.blocks(flatten(get("x")), modulations, (i) => ({ past: past(i) }));
    const grown = caches.flatMap(({ key, value }, i) =>
      (
        [
          ["key", key],
          ["value", value],
        ] as const
      ).map(([part, tensor]) => [
        cacheName(i, part),
        reshape(tensor, [branches, B, numHeads, addDims(M, N), c / numHeads]),
      ]),
    );
    return {
      logits: guide(reshape(logits, [branches, B, N, model.vocabSize]), inputs.guidance),
      ...Object.fromEntries(grown),
    };
  });
}

/** logits [G, B, N, V] -> [B, N, V]. */
function guide(logits: Tensor, guidance: Tensor | undefined): Tensor {
  const branch = (i: number) => reshape(slice(logits, 0, i, i + 1), logits.shape.slice(1));
  if (guidance === undefined) return branch(0);
  return sub(mul(branch(0), add(guidance, 1)), mul(branch(1), guidance));
}

/** Codes of a scale [B, N, Cz] -> new running reconstruction and the embedded next scale [B, K, C]. */
export function advanceGraph(tokenizer: VarTokenizer, model: VarTransformer) {
  const { zChannels } = tokenizer.config;
  const side = tokenizer.vq.side;
  const [N, K] = [symbol("N"), symbol("K")];
  return trace(
    {
      codes: float32(B, N, zChannels),
      total: float32(B, zChannels, side, side),
      up: float32(N, side * side),
      down: float32(side * side, K),
      phi: int32(),
      positions: float32(1, K, model.config.embedDim),
    },
    ({ codes, total, up, down, phi, positions }) => {
      const step = tokenizer.vq.advance(codes, total, up, down, phi);
      return { total: step.total, next: step.next, x: add(model.embed(step.next), positions) };
    },
  );
}

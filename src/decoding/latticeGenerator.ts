/**
 * Cached generation over a lattice with a prefix token: feed a group, combine the heads' logits into the next one's. Rows of
 * both guidance branches run together. Shape letters: G branches, B pictures, N fed tokens, M past ones, V codes.
 */

import type { LatticeHeads } from "../head/types.ts";
import type { CachedOptions, KeyValue } from "../mixer/types.ts";
import type { Group, LatticePlan } from "../plan/types.ts";
import { trace } from "../runtime/trace.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { type Dim, mulDims, symbol } from "../tensor/dims.ts";
import { concat, reshape, slice } from "../tensor/ops/structure.ts";
import { constant, float32, int32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
import { branchLabels } from "./branches.ts";
import { guide } from "./groupPrograms.ts";
import {
  alikeLayers,
  type CachedLayer,
  cacheInputs,
  cacheNames,
  cacheSpecs,
  emptyCache,
  grownCaches,
  grownValues,
  pastOf,
} from "./layerCaches.ts";
import { decodeGroups } from "./loop.ts";
import type { ProgramStore } from "./programStore.ts";

/** What the programs are traced from; places count the prefix from 0, then row-major sites. */
export interface LatticeModel {
  readonly plan: LatticePlan;
  readonly readout: LatticeHeads;
  readonly layers: number;
  readonly numHeads: number;
  readonly headWidth: number;
  readonly vocabSize: number;
  /** Tokens K before the sites: all places see the first one alone, the last one predicts the first site. */
  readonly prefixLength: number;
  /** Labels [rows], or with several [rows, K] -> the prefix [rows, K, C]. */
  prefix(labels: Tensor): Tensor;
  /** Ids [rows, N] -> [rows, N, C]. */
  tokens(ids: Tensor): Tensor;
  /** Tokens at places [N] through the layers. */
  run(
    x: Tensor,
    places: Tensor,
    layer: (i: number) => CachedOptions,
  ): { readonly heads: readonly Tensor[]; readonly caches: readonly KeyValue[] };
}

const B = symbol("B");

const cachedLayers = ({ layers, numHeads, headWidth }: LatticeModel): CachedLayer[] =>
  alikeLayers(layers, { heads: numHeads, width: headWidth });

/** Sizes of labels: one number per row, or one per token of a prefix. */
const labelShape = (rows: readonly Dim[], { prefixLength }: LatticeModel): Dim[] =>
  prefixLength === 1 ? [...rows] : [...rows, prefixLength];

/** Attention bias of a prefix, [K, K]. */
function firstOnly(length: number): Tensor {
  const hidden = Float32Array.from({ length: length * length }, (_, i) => (i % length === 0 ? 0 : -1e9));
  return constant(hidden, [length, length]);
}

/** One pass over the prefix (labels [G, B] or [G, B, K]) or over a group (ids [B, N]) -> guided logits per head, and grown caches. */
export function latticeGraph(model: LatticeModel, branches: number, fed: "prefix" | "group") {
  const [N, M] = [symbol("N"), symbol("M")];
  const rows = mulDims(branches, B);
  const before = fed === "prefix" ? model.prefixLength : 1;
  const specs: Record<string, TensorSpec> = {
    ...(fed === "prefix" ? { labels: int32(...labelShape([branches, B], model)) } : { ids: int32(B, N) }),
    places: int32(fed === "prefix" ? before : N),
    ...(branches === 2 && { guidance: float32() }),
    ...(fed === "group" && cacheSpecs(cachedLayers(model), rows, M)),
  };
  return trace(specs, (inputs) => {
    const get = (name: string) => inputs[name] as Tensor; // declared above
    const repeated = () =>
      concat(
        Array.from({ length: branches }, () => get("ids")),
        0,
      );
    const x =
      fed === "prefix"
        ? model.prefix(reshape(get("labels"), labelShape([rows], model)))
        : model.tokens(repeated());
    const past = (i: number): CachedOptions =>
      fed === "prefix"
        ? before === 1
          ? {}
          : { bias: firstOnly(before) }
        : { past: pastOf(inputs, model.layers, i) };
    const { heads, caches } = model.run(x, get("places"), past);
    // of a prefix the last token predicts, and the first one is seen
    const seen = (x: Tensor) => (before === 1 ? x : slice(x, 2, 0, 1));
    const last = heads.map((head) => (before === 1 ? head : slice(head, 1, before - 1, before)));
    const guided = last.map((head) =>
      guide(reshape(head, [branches, B, ...head.shape.slice(1)]), inputs.guidance),
    );
    return {
      ...Object.fromEntries(guided.map((head, k) => [`head${k}`, head])),
      ...grownCaches(caches.map(({ key, value }) => ({ key: seen(key), value: seen(value) }))),
    };
  });
}

export interface LatticeRequest {
  /** One per picture, or the tokens of its prefix. */
  readonly labels: Int32Array;
  readonly nullLabel: number;
  /** Guidance t of a group: logits = (1 + t) conditional - t unconditional. All 0: one branch. */
  guidance(group: Group): number;
  /** Tokens [B * N] of a group from its logits [B, N, V]. */
  choose(group: Group, logits: Value): Int32Array;
  readonly signal?: AbortSignal;
}

/** A committed group: tokens [B * N] in the group's order, and the guided logits [B, N, V]. */
export interface LatticeResult {
  readonly group: Group;
  readonly tokens: Int32Array;
  readonly logits: Value;
}

/** Averages of heads' rows for the sites of a group: heads [B, N before, V] -> [B, N, V]. */
function combined(heads: readonly Value[], { readout, vocabSize }: LatticeModel, group: Group): Value {
  const [batch = 0, before = 0] = heads[0]?.shape ?? [];
  const out = new Float32Array(batch * group.size * vocabSize);
  for (const [site, sources] of readout.sources(group).entries()) {
    for (let b = 0; b < batch; b++) {
      const to = (b * group.size + site) * vocabSize;
      for (const { head, index } of sources) {
        const data = heads[head]?.data as Float32Array; // one per head
        const from = (b * before + index) * vocabSize;
        for (let v = 0; v < vocabSize; v++)
          out[to + v] = (out[to + v] as number) + (data[from + v] as number) / sources.length; // in range
      }
    }
  }
  return floats(out, [batch, group.size, vocabSize]);
}

/** Yields every group after it was chosen. Errors: ABORTED. */
export async function* generateLattice(
  model: LatticeModel,
  programs: ProgramStore,
  { labels, nullLabel, guidance, choose, signal }: LatticeRequest,
): AsyncGenerator<LatticeResult> {
  const { plan, readout } = model;
  const batch = labels.length / model.prefixLength;
  const branches = plan.groups.every((group) => guidance(group) === 0) ? 1 : 2;
  const names = cacheNames(model.layers);
  using cache = emptyCache(cachedLayers(model), branches * batch);
  const rows = branchLabels(labels, nullLabel, branches);
  let fed: "prefix" | "group" = "prefix";
  let feed: Record<string, Value> = {
    labels: ints(rows, labelShape([branches, batch], model) as number[]), // numbers here
    places: ints([...Array(model.prefixLength).keys()], [model.prefixLength]),
  };
  const decoder = {
    propose: async (group: Group): Promise<Value> => {
      const kind = fed;
      const inputs = {
        ...feed,
        ...(branches === 2 && { guidance: floats([guidance(group)], []) }),
        ...(kind === "group" && cacheInputs(cache)),
      };
      const graph = () => latticeGraph(model, branches, kind);
      const out = await programs.run(`${kind}${branches}`, graph, inputs, { kept: names });
      cache.commit(grownValues(out, model.layers));
      const heads = Array.from({ length: readout.heads }, (_, k) => out[`head${k}`] as Value);
      return combined(heads, model, group);
    },
    choose: async (group: Group, logits: Value) => choose(group, logits),
    commit: async ({ start, size }: Group, tokens: Int32Array) => {
      fed = "group";
      const places = plan.sites.subarray(start, start + size).map((site) => site + model.prefixLength);
      feed = { ids: ints(tokens, [batch, size]), places: ints(places, [size]) };
    },
  };
  for await (const { group, proposal, choice } of decodeGroups(plan, decoder, signal))
    yield { group, tokens: choice, logits: proposal };
}

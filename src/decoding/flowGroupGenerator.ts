/**
 * Cached generation of continuous groups: each starts as noise and follows the model's velocity while the clean groups
 * before it stay in the cache. The first pass over a group also feeds what came before and is not cached yet, at time 0.
 * Source: xAR `models/xar.py` (code). Shape letters: G branches, B pictures, N fed sites, M cached ones, T times, D width.
 */
import type { CachedOptions, KeyValue } from "../mixer/types.ts";
import { timeFeatures, timeId, timeWaves } from "../nn/timeEmbedding.ts";
import type { Group, Plan } from "../plan/types.ts";
import { type Graph, trace } from "../runtime/trace.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { addDims, mulDims, symbol } from "../tensor/dims.ts";
import { concat, reshape } from "../tensor/ops/structure.ts";
import { float32, int32, type Tensor } from "../tensor/tensor.ts";
import { branchLabels, placesFrom } from "./branches.ts";
import type { FlowProblem, Velocities } from "./flowSolvers.ts";
import type { KvCache } from "./kvCache.ts";
import {
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

/** Sites of some groups, as the layers see them. */
export interface FlowSites {
  /** Values [rows, N, D]. */
  readonly x: Tensor;
  /** Labels [rows]. */
  readonly labels: Tensor;
  /** Waves of the groups' times, [T, 256] for all rows or [rows, T, 256]. */
  readonly waves: Tensor;
  /** Which of the times a site has, [N, T]. */
  readonly spread: Tensor;
  /** Positions in the plan [N]. */
  readonly places: Tensor;
}

/** What the program is traced from. */
export interface FlowGroupModel {
  readonly plan: Plan;
  readonly layers: readonly CachedLayer[];
  /** Numbers per site. */
  readonly valueWidth: number;
  readonly nullLabel: number;
  /** Velocities [rows, N, D] and every layer's cache. */
  run(
    sites: FlowSites,
    layer: (i: number) => CachedOptions,
  ): { readonly velocity: Tensor; readonly caches: readonly KeyValue[] };
}

const B = symbol("B");

/** One pass over sites x [B, N, D], the same for both branches -> velocities [G B, N, D] and grown caches. */
export function flowGroupGraph(model: FlowGroupModel, branches: number): Graph {
  const [N, M, T] = [symbol("N"), symbol("M"), symbol("T")];
  const { layers, valueWidth } = model;
  const rows = mulDims(branches, B);
  const specs = {
    x: float32(B, N, valueWidth),
    labels: int32(branches, B),
    waves: float32(T, timeWaves),
    spread: float32(N, T),
    places: int32(N),
    bias: float32(N, addDims(M, N)),
    ...cacheSpecs(layers, rows, M),
  };
  return trace(specs, (inputs: Readonly<Record<string, Tensor>>) => {
    const get = (name: string) => inputs[name] as Tensor; // declared above
    const x = concat(
      Array.from({ length: branches }, () => get("x")),
      0,
    );
    const labels = reshape(get("labels"), [rows]);
    const sites = { x, labels, waves: get("waves"), spread: get("spread"), places: get("places") };
    const { velocity, caches } = model.run(sites, (i) => ({
      bias: get("bias"),
      past: pastOf(inputs, layers.length, i),
    }));
    return { velocity, ...grownCaches(caches) };
  });
}

/** Positions from `from` on see their own group and earlier ones: [N, from + N] for N of them. */
function biasFrom(groupOf: Int32Array, from: number, to: number): Value {
  const count = to - from;
  const data = new Float32Array(count * to);
  for (let i = 0; i < data.length; i++)
    if ((groupOf[i % to] as number) > (groupOf[from + Math.floor(i / to)] as number)) data[i] = -1e9; // in range
  return floats(data, [count, to]);
}

/** The clean past of some pictures, and the model's velocities given it. */
export class FlowGroupDecoder {
  /** Values of all sites [B, L, D]: those of finished groups are clean. */
  readonly sequence: Float32Array;
  readonly #model: FlowGroupModel;
  readonly #programs: ProgramStore;
  readonly #labels: Value;
  readonly #branches: number;
  readonly #batch: number;
  readonly #cache: KvCache;

  /** One label per picture; `branches` is 2 where velocities without a class are wanted too. */
  constructor(model: FlowGroupModel, programs: ProgramStore, labels: Int32Array, branches: number) {
    const rows = branchLabels(labels, model.nullLabel, branches);
    this.#model = model;
    this.#programs = programs;
    this.#labels = ints(rows, [branches, labels.length]);
    this.#branches = branches;
    this.#batch = labels.length;
    this.#cache = emptyCache(model.layers, rows.length);
    this.sequence = new Float32Array(labels.length * model.plan.length * model.valueWidth);
  }

  /** Makes the values [B, N, D] of a group the past of the groups to come. */
  commit({ start, size }: Group, values: ArrayLike<number>): void {
    const { plan, valueWidth: width } = this.#model;
    const length = size * width;
    for (let i = 0; i < values.length; i++) {
      const at = (Math.floor(i / length) * plan.length + start) * width + (i % length);
      this.sequence[at] = values[i] as number; // in range
    }
  }

  /** Sites `from` to the end of a group [B, N, D]: the past's values, then the state. */
  #fed(from: number, { start, size }: Group, state: Float32Array): Value {
    const { plan, valueWidth: width } = this.#model;
    const [before, own] = [(start - from) * width, size * width];
    const data = new Float32Array(this.#batch * (before + own));
    for (let b = 0; b < this.#batch; b++) {
      const past = (b * plan.length + from) * width;
      data.set(this.sequence.subarray(past, past + before), b * (before + own));
      data.set(state.subarray(b * own, (b + 1) * own), b * (before + own) + before);
    }
    return floats(data, [this.#batch, start + size - from, width]);
  }

  /** Velocities of a group's state [B, N, D] at a time in thousandths, given all groups before it. */
  async velocity(group: Group, state: Float32Array, id: number): Promise<Velocities> {
    const { groupOf } = this.#model.plan;
    const [from, to] = [this.#cache.length, group.start + group.size];
    const first = groupOf[from] as number; // a group has sites
    const times = group.index - first + 1;
    const spread = new Float32Array((to - from) * times);
    for (let i = from; i < to; i++) spread[(i - from) * times + (groupOf[i] as number) - first] = 1; // in range
    const ids = Array.from({ length: times }, (_, i) => (i === times - 1 ? id : 0));
    const branches = this.#branches;
    const program = await this.#programs.get(`flow${branches}`, () => flowGroupGraph(this.#model, branches));
    const growing = from < group.start;
    const inputs = {
      x: this.#fed(from, group, state),
      labels: this.#labels,
      waves: floats(timeFeatures(ids), [times, timeWaves]),
      spread: floats(spread, [to - from, times]),
      places: placesFrom(from, to - from),
      bias: biasFrom(groupOf, from, to),
      ...cacheInputs(this.#cache),
    };
    const grown = growing ? cacheNames(this.#model.layers.length) : [];
    const out = await program.run(inputs, new Map(), ["velocity", ...grown]);
    if (growing) {
      this.#cache.commit(grownValues(out, this.#model.layers.length));
      this.#cache.rollback(group.start);
    }
    return this.#ofGroup(out.velocity as Value, group.size);
  }

  /** The last `size` sites of every row, per branch. */
  #ofGroup({ data, shape: [rows = 0, sites = 0, width = 0] }: Value, size: number): Velocities {
    const branch = (first: number) => {
      const out = new Float32Array(this.#batch * size * width);
      for (let b = 0; b < this.#batch; b++) {
        const end = (first + b + 1) * sites * width;
        out.set((data as Float32Array).subarray(end - size * width, end), b * size * width); // velocities are float32
      }
      return out;
    };
    return { conditional: branch(0), ...(rows > this.#batch && { unconditional: branch(this.#batch) }) };
  }
}

/** One generation. */
export interface FlowGroupRequest {
  /** One label per picture. */
  readonly labels: Int32Array;
  /** Guidance w of a group: unconditional + w (conditional - unconditional). Up to 1 everywhere: one branch. */
  guidance(group: Group): number;
  /** The values [B, N, D] of a group at the end of its path. */
  solve(
    group: Group,
    problem: Pick<FlowProblem, "velocity" | "guidance" | "signal">,
  ): Promise<ArrayLike<number>>;
  readonly signal?: AbortSignal;
}

/** A finished group, and all values so far [B, L, D]. */
export interface FlowGroupResult {
  readonly group: Group;
  readonly sequence: Float32Array;
}

/** Yields after every group. Errors: ABORTED. */
export async function* generateFlowGroups(
  model: FlowGroupModel,
  programs: ProgramStore,
  { labels, guidance, solve, signal }: FlowGroupRequest,
): AsyncGenerator<FlowGroupResult> {
  const branches = model.plan.groups.some((group) => guidance(group) > 1) ? 2 : 1;
  const past = new FlowGroupDecoder(model, programs, labels, branches);
  const decoder = {
    propose: (group: Group) =>
      solve(group, {
        guidance: { weight: guidance(group) },
        velocity: (state, time) => past.velocity(group, state, timeId(time)),
        ...(signal && { signal }),
      }),
    choose: async (_: Group, values: ArrayLike<number>) => values,
    commit: async (group: Group, values: ArrayLike<number>) => past.commit(group, values),
  };
  for await (const { group } of decodeGroups(model.plan, decoder, signal))
    yield { group, sequence: past.sequence };
}

/**
 * Cached next-scale generation of continuous maps: one pass per scale says what the flow of its sites is told, then Euler
 * steps of the flow alone. Guidance ramps from none at the first scale. Source: FlowAR `models/flowar.py`, `sample_tokens`;
 * `models/sampler.py` (code); inferred: without guidance only the conditional rows are computed (the reference integrates
 * the others too, and drops them).
 * Shape letters: R rows (B conditional, then B unconditional where guided), B pictures, N sites of a scale, Z numbers per
 * site, C width.
 */
import type { LabelConditioner } from "../conditioner/types.ts";
import type { CachedOptions, KeyValue } from "../mixer/types.ts";
import { timeFeatures, timeId, timeWaves } from "../nn/timeEmbedding.ts";
import type { Plan, Scale } from "../plan/types.ts";
import { trace } from "../runtime/trace.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { symbol } from "../tensor/dims.ts";
import { invariant } from "../tensor/errors.ts";
import { float32, int32, type Tensor } from "../tensor/tensor.ts";
import { branchLabels, placesFrom, repeat } from "./branches.ts";
import { euler, type Velocities } from "./flowSolvers.ts";
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

/** What the programs are traced from. */
export interface FlowScaleModel {
  readonly plan: Plan<Scale>;
  readonly layers: readonly CachedLayer[];
  /** Width C of tokens and conditions. */
  readonly width: number;
  /** Numbers Z per site. */
  readonly valueWidth: number;
  readonly conditioner: Pick<LabelConditioner, "nullLabel">;
  /** Labels [R] -> the class as one token [R, 1, C]: the first scale's input, and every layer's condition. */
  classToken(labels: Tensor): Tensor;
  /** A map [B, N, Z] and the matrix to the sites of the next scale [N, M] -> their tokens [B, M, C]. */
  input(values: Tensor, matrix: Tensor): Tensor;
  /** Tokens [R, N, C] at places [N] -> what the flow is told of each site, and the caches. */
  conditions(
    x: Tensor,
    classToken: Tensor,
    layer: (i: number) => CachedOptions,
    places: Tensor,
  ): { readonly z: Tensor; readonly caches: readonly KeyValue[] };
  /** Velocities [R, N, Z] of one scale at places [N]; waves [1, 1, 256]. */
  velocity(x: Tensor, z: Tensor, waves: Tensor, places: Tensor): Tensor;
  /** The matrix [from^2, to^2] that makes the input of a scale of the one before, by way of the finest side. */
  inputMatrix(from: number, to: number, finest?: number): Float32Array;
}

export interface ScaleGeneration {
  /** Guidance t: velocity = (1 + t) conditional - t unconditional; officially written as 1 + t. Below 0 guides nothing. */
  readonly cfgScale: number;
  /** Guidance grows from 0 at the first scale to `cfgScale` at the last; else it is the same for all. */
  readonly cfgRamp: boolean;
  /** Guidance acts at times up to this one. */
  readonly guidanceHigh: number;
  /** ... and down to this one; to the end when absent. */
  readonly guidanceLow?: number;
  /** Side by way of which a scale becomes the next one's input; the plan's last when absent, as in training. */
  readonly finest?: number;
  /** Falling times of each integration; of one time alone nothing is integrated, and the noise is returned. */
  readonly times: readonly number[];
  readonly signal?: AbortSignal;
}

/** A committed scale. */
export interface ScaleResult {
  readonly group: Scale;
  /** Its map, [B, N, Z]. */
  readonly values: Value;
  /** What the flow head was told, [R, N, C]. */
  readonly z: Value;
}

/** Labels [R] -> class tokens [R, 1, C]. */
export const classGraph = (model: FlowScaleModel) =>
  trace({ labels: int32("R") }, ({ labels }) => ({ x: model.classToken(labels) }));

/** Tokens of a scale with the past -> its conditions, and the caches including it. */
export function conditionsGraph(model: FlowScaleModel) {
  const { layers, width: c } = model;
  const [R, N] = [symbol("R"), symbol("N")];
  const specs = {
    x: float32(R, N, c),
    classToken: float32(R, 1, c),
    places: int32(N),
    ...cacheSpecs(layers, R, symbol("M")),
  };
  return trace(specs, (inputs) => {
    const { x, classToken, places } = inputs as Record<"x" | "classToken" | "places", Tensor>; // declared above
    const past = (i: number) => ({ past: pastOf(inputs, layers.length, i) });
    const { z, caches } = model.conditions(x, classToken, past, places);
    return { z, ...grownCaches(caches) };
  });
}

/** A map [B, N, Z] and the matrix to the next scale's sites [N, M] -> the next scale's tokens [B, M, C]. */
export const inputGraph = (model: FlowScaleModel) =>
  trace({ values: float32("B", "N", model.valueWidth), matrix: float32("N", "M") }, (inputs) => ({
    x: model.input(inputs.values, inputs.matrix),
  }));

/** The flow head at one time. */
export function velocityGraph(model: FlowScaleModel) {
  const { valueWidth, width } = model;
  const specs = {
    x: float32("R", "N", valueWidth),
    z: float32("R", "N", width),
    waves: float32(1, 1, timeWaves),
    places: int32("N"),
  };
  return trace(specs, ({ x, z, waves, places }) => ({ velocity: model.velocity(x, z, waves, places) }));
}

/** First `rows` rows. */
function firstRows({ data, shape: [all = 1, ...rest] }: Value, rows: number): Value {
  return floats((data as Float32Array).subarray(0, (data.length / all) * rows), [rows, ...rest]); // float32 by contract
}

/** `parts` times the same rows, as rows. */
function moreRows(value: Value, parts: number): Value {
  const [rows = 1, ...rest] = value.shape;
  return floats(repeat(value, parts).data as Float32Array, [rows * parts, ...rest]); // float32 by contract
}

/** One scale's integration. */
export interface ScaleFlow {
  readonly scale: Scale;
  /** [B, N, Z]; more rows are carried along as the reference's unconditional ones, on which nothing depends. */
  readonly noise: Value;
  /** [R, N, C]. */
  readonly z: Value;
  readonly pictures: number;
  /** w of unconditional + w (conditional - unconditional); 1 guides nothing. */
  readonly weight: number;
}

/** From noise to the map of a scale, in the layout of the noise. Errors: ABORTED. */
export async function integrateScale(
  model: FlowScaleModel,
  programs: ProgramStore,
  { scale, noise, z, pictures, weight }: ScaleFlow,
  { times, guidanceHigh, guidanceLow = 0, signal }: Omit<ScaleGeneration, "cfgScale" | "cfgRamp" | "finest">,
): Promise<Value> {
  const [rows = 0, ...site] = noise.shape;
  const length = noise.data.length / rows;
  const places = placesFrom(scale.start, scale.size);
  const run = async (x: Value, time: number): Promise<Float32Array> => {
    const waves = floats(timeFeatures([timeId(time)]), [1, 1, timeWaves]);
    const inputs = { x, z: firstRows(z, x.shape[0] ?? 0), waves, places };
    const out = await programs.run("velocity", () => velocityGraph(model), inputs);
    return out.velocity?.data as Float32Array; // the graph's output
  };
  const velocity = async (state: Float32Array, time: number, guided: boolean): Promise<Velocities> => {
    if (!guided) return { conditional: await run(floats(state, noise.shape), time) };
    const own = floats(state.subarray(0, pictures * length), [pictures, ...site]);
    const both = floats(await run(moreRows(own, 2), time), [2, pictures * length]);
    const [conditional, unconditional] = [0, 1].map((i) => {
      const branch = (both.data as Float32Array).subarray(i * pictures * length, (i + 1) * pictures * length);
      return moreRows(floats(branch, [pictures, length]), rows / pictures).data as Float32Array; // float32 by contract
    }) as [Float32Array, Float32Array]; // two branches
    return { conditional, unconditional };
  };
  const guidance = { weight, until: guidanceHigh, from: guidanceLow };
  const flow = { noise: noise.data, times, guidance, velocity, ...(signal && { signal }) };
  return floats(Float32Array.from(await euler(flow)), noise.shape);
}

/**
 * Maps of `labels.length` pictures, scale by scale. `noiseOf` gives a scale's noise [B, N, Z].
 * Errors: ABORTED.
 */
export async function* generateScales(
  model: FlowScaleModel,
  programs: ProgramStore,
  labels: Int32Array,
  options: ScaleGeneration,
  noiseOf: (scale: Scale) => Value,
): AsyncGenerator<ScaleResult> {
  const { plan, layers, conditioner } = model;
  invariant(options.times.length > 0, "An integration begins at a time.");
  const batch = labels.length;
  const { cfgScale, cfgRamp } = options;
  const branches = cfgScale !== 0 && (!cfgRamp || plan.groups.length > 1) ? 2 : 1; // a ramp begins with none
  const rows = branchLabels(labels, conditioner.nullLabel, branches);
  const start = await programs.run("class", () => classGraph(model), { labels: ints(rows, [rows.length]) });
  const classToken = start.x as Value; // the graph's output
  using cache = emptyCache(layers, rows.length);
  let x = classToken;
  const decoder = {
    propose: async ({ start: from, size }: Scale): Promise<Value> => {
      const inputs = { x, classToken, places: placesFrom(from, size), ...cacheInputs(cache) };
      const kept = cacheNames(layers.length);
      const out = await programs.run("conditions", () => conditionsGraph(model), inputs, { kept });
      cache.commit(grownValues(out, layers.length));
      return out.z as Value; // the graph's output
    },
    choose: async (scale: Scale, z: Value): Promise<Value> => {
      const share = options.cfgRamp ? scale.index / Math.max(plan.groups.length - 1, 1) : 1;
      const weight = branches === 2 ? 1 + options.cfgScale * share : 1;
      const flow = { scale, noise: noiseOf(scale), z, pictures: batch, weight };
      return integrateScale(model, programs, flow, options);
    },
    commit: async (scale: Scale, values: Value) => {
      const next = plan.groups[scale.index + 1];
      if (next === undefined) return;
      const matrix = floats(model.inputMatrix(scale.side, next.side, options.finest), [
        scale.size,
        next.size,
      ]);
      const out = await programs.run("input", () => inputGraph(model), { values, matrix });
      x = moreRows(out.x as Value, branches); // the graph's output
    },
  };
  for await (const { group, proposal, choice } of decodeGroups(plan, decoder, options.signal))
    yield { group, values: choice, z: proposal };
}

/** Keys and values of all layers as inputs and outputs of a program; layers may have heads of their own. */
import type { KeyValue } from "../mixer/types.ts";
import { floats, type Value } from "../runtime/values.ts";
import type { Dim } from "../tensor/dims.ts";
import { float32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
import { KvCache } from "./kvCache.ts";

/** Heads of one layer. */
export interface CachedLayer {
  readonly heads: number;
  /** Width of a head. */
  readonly width: number;
}

/** Layers that are all alike. */
export const alikeLayers = (count: number, layer: CachedLayer): CachedLayer[] =>
  Array.from({ length: count }, () => layer);

/** Names of keys and values among a program's inputs and outputs: of each layer the key, then the value. */
export const cacheNames = (layers: number): string[] =>
  Array.from({ length: layers }, (_, i) => [`key${i}`, `value${i}`]).flat();

/** Inputs: per layer key and value, [rows, heads, length, width]. */
export function cacheSpecs(
  layers: readonly CachedLayer[],
  rows: Dim,
  length: Dim,
): Record<string, TensorSpec> {
  const names = cacheNames(layers.length);
  return Object.fromEntries(
    layers.flatMap(({ heads, width }, i) =>
      names.slice(2 * i, 2 * i + 2).map((name) => [name, float32(rows, heads, length, width)]),
    ),
  );
}

/** The past of a layer among a program's inputs. */
export function pastOf(inputs: Readonly<Record<string, Tensor>>, layers: number, i: number): KeyValue {
  const [key, value] = cacheNames(layers).slice(2 * i, 2 * i + 2) as [string, string]; // two per layer
  return { key: inputs[key] as Tensor, value: inputs[value] as Tensor }; // declared by `cacheSpecs`
}

/** Outputs: the grown caches under the names of the inputs. */
export function grownCaches(caches: readonly KeyValue[]): Record<string, Tensor> {
  const grown = caches.flatMap(({ key, value }) => [key, value]);
  return Object.fromEntries(cacheNames(caches.length).map((name, i) => [name, grown[i] as Tensor])); // one each
}

/** A cache without positions. */
export function emptyCache(layers: readonly CachedLayer[], rows: number): KvCache {
  return new KvCache(
    layers.flatMap(({ heads, width }) => [0, 1].map(() => floats([], [rows, heads, 0, width]))),
  );
}

/** A cache as inputs of a program. */
export function cacheInputs(cache: KvCache): Record<string, Value> {
  const names = cacheNames(cache.values.length / 2);
  return Object.fromEntries(names.map((name, i) => [name, cache.values[i] as Value])); // one each
}

/** The caches among a program's outputs, for `KvCache.commit`. */
export function grownValues(outputs: Readonly<Record<string, Value>>, layers: number): Value[] {
  return cacheNames(layers).map((name) => outputs[name] as Value); // outputs of `grownCaches`
}

/** Keys and values of all layers, grown by one group per step; host arrays, so clone is free and rollback a copy. */
import { floats, type Value } from "../runtime/values.ts";
import { invariant } from "../tensor/errors.ts";
import type { DecodingCache } from "./types.ts";

/** Per layer: key then value, [rows, heads, length, width]. */
export class KvCache implements DecodingCache<readonly Value[]> {
  #values: readonly Value[];

  constructor(values: readonly Value[]) {
    this.#values = values;
  }

  /** An empty cache for `layers` layers. */
  static empty(layers: number, rows: number, heads: number, width: number): KvCache {
    const none = () => floats(new Float32Array(0), [rows, heads, 0, width]);
    return new KvCache(Array.from({ length: 2 * layers }, none));
  }

  get values(): readonly Value[] {
    return this.#values;
  }

  get length(): number {
    return this.#values[0]?.shape[2] ?? 0;
  }

  /** Replaces the contents by the model's full present keys and values, which extend the past. */
  commit(present: readonly Value[]): void {
    invariant(present.length === this.#values.length, "A commit holds every layer.");
    this.#values = present;
  }

  clone(): KvCache {
    return new KvCache(this.#values);
  }

  rollback(length: number): void {
    invariant(length >= 0 && length <= this.length, "A rollback shortens the cache.");
    if (length === this.length) return;
    this.#values = this.#values.map(({ data, shape: [rows = 0, heads = 0, past = 0, width = 0] }) => {
      const kept = new Float32Array(rows * heads * length * width);
      for (let row = 0; row < rows * heads; row++) {
        const start = row * past * width;
        kept.set((data as Float32Array).subarray(start, start + length * width), row * length * width); // caches are float32
      }
      return floats(kept, [rows, heads, length, width]);
    });
  }
}

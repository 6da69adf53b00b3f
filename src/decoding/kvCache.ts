/**
 * Keys and values of all layers, grown by one group per step: host arrays, or what a program left on its device. They are the
 * cache's own, freed when nothing holds them: arrays are empty then. A clone is free.
 */
import { floats, freeValues, type Value } from "../runtime/values.ts";
import { invariant } from "../tensor/errors.ts";
import type { DecodingCache } from "./types.ts";

/** Values that caches hold together. */
class HeldValues {
  readonly values: readonly Value[];
  #holders = 1;

  constructor(values: readonly Value[]) {
    this.values = values;
  }

  share(): this {
    this.#holders++;
    return this;
  }

  release(): void {
    if (--this.#holders === 0) freeValues(this.values);
  }
}

/** Per layer: key then value, [rows, heads, length, width]. Dispose when done. */
export class KvCache implements DecodingCache<readonly Value[]>, Disposable {
  #held: HeldValues;

  constructor(values: readonly Value[]) {
    this.#held = new HeldValues(values);
  }

  get values(): readonly Value[] {
    return this.#held.values;
  }

  get length(): number {
    return this.values[0]?.shape[2] ?? 0;
  }

  /** Replaces the contents by the model's full present keys and values, which extend the past and are this cache's now. */
  commit(present: readonly Value[]): void {
    invariant(present.length === this.values.length, "A commit holds every layer.");
    this.#held.release();
    this.#held = new HeldValues(present);
  }

  clone(): KvCache {
    const clone = new KvCache([]);
    clone.#held = this.#held.share();
    return clone;
  }

  /** Of host arrays. Errors: VALUE_ON_DEVICE. */
  rollback(length: number): void {
    invariant(length >= 0 && length <= this.length, "A rollback shortens the cache.");
    if (length === this.length) return;
    const shortened = this.values.map(({ data, shape: [rows = 0, heads = 0, past = 0, width = 0] }) => {
      const kept = new Float32Array(rows * heads * length * width);
      for (let row = 0; row < rows * heads; row++) {
        const start = row * past * width;
        kept.set((data as Float32Array).subarray(start, start + length * width), row * length * width); // caches are float32
      }
      return floats(kept, [rows, heads, length, width]);
    });
    this.commit(shortened);
  }

  [Symbol.dispose](): void {
    this.#held.release();
    this.#held = new HeldValues([]);
  }
}

/**
 * The order in which a set is walked: a new permutation each epoch, batch by batch. Its state is two numbers, so a resumed
 * run continues exactly, also inside an epoch. Holds one permutation (4 bytes an item).
 */
import type { RandomStream } from "../tensor/random.ts";

export interface OrderOptions {
  readonly length: number;
  readonly batchSize: number;
  /** A new random order each epoch from this stream; the natural order when absent. */
  readonly stream?: RandomStream;
  /** Leave out an epoch's last batch when it is not full. */
  readonly dropLast: boolean;
}

export interface OrderPosition {
  /** Whole passes over the set so far. */
  readonly epoch: number;
  /** Items already taken in this epoch. */
  readonly position: number;
}

/** An endless walk over 0 .. length - 1. */
export class EpochOrder {
  readonly #options: OrderOptions;
  readonly #usable: number;
  #epoch = 0;
  #position = 0;
  #order: Uint32Array | undefined;

  constructor(options: OrderOptions) {
    const { length, batchSize, dropLast } = options;
    this.#options = options;
    this.#usable = dropLast ? length - (length % batchSize) : length;
  }

  get batchesPerEpoch(): number {
    return Math.ceil(this.#usable / this.#options.batchSize);
  }

  get position(): OrderPosition {
    return { epoch: this.#epoch, position: this.#position };
  }

  set position({ epoch, position }: OrderPosition) {
    this.#epoch = epoch;
    this.#position = position;
    this.#order = undefined;
  }

  /** Indices of the next batch and the epoch they belong to. */
  next(): { readonly indices: Uint32Array; readonly epoch: number } {
    if (this.#position >= this.#usable) this.position = { epoch: this.#epoch + 1, position: 0 };
    const { batchSize, stream, length } = this.#options;
    const start = this.#position;
    const count = Math.min(batchSize, this.#usable - start);
    if (stream) this.#order ??= stream.fork(this.#epoch).permutation(length);
    this.#position += count;
    const indices =
      this.#order?.slice(start, start + count) ?? Uint32Array.from({ length: count }, (_, i) => start + i);
    return { indices, epoch: this.#epoch };
  }
}

/**
 * An endless, deterministic stream of training batches from an image set. Order and augmentation follow from the seed,
 * the epoch and the picture's index, so the state is a few numbers and a resumed run continues exactly, also inside an
 * epoch. The loader holds one permutation (4 bytes a picture) and nothing else.
 */
import { z } from "zod";
import { NextxError } from "../tensor/errors.ts";
import { RandomStream } from "../tensor/random.ts";
import { type Augmentation, augmentImage, changesAnything, requireAugmentation } from "./augment.ts";
import { EpochOrder } from "./order.ts";
import { numChannels, writePlanes } from "./pixels.ts";
import type { ImageSet } from "./types.ts";

/** How batches are made. */
export interface LoaderOptions {
  readonly batchSize: number;
  /** Seed of order and augmentation, 0 to 2^53 - 1. */
  readonly seed: number;
  /** A new random order each epoch; on when absent. */
  readonly shuffle?: boolean;
  readonly augment?: Augmentation;
  /** Leave out an epoch's last batch when it is not full; on when absent. */
  readonly dropLast?: boolean;
}

/** Pictures, classes and where they came from. */
export interface Batch {
  /** (n, 3, size, size) in [-1, 1]. */
  readonly images: Float32Array;
  readonly labels: Int32Array;
  readonly indices: Uint32Array;
}

const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Shape of a saved state. */
export const loaderStateSchema = z.strictObject({
  set: z.strictObject({ id: z.string(), split: z.string(), version: z.string(), length: whole }),
  seed: whole,
  /** Whole passes over the set so far. */
  epoch: whole,
  /** Pictures already taken in this epoch. */
  position: whole,
});

/** Where a loader stands; plain JSON. */
export type LoaderState = z.infer<typeof loaderStateSchema>;

/** An endless stream of batches. */
export interface Loader {
  readonly batchesPerEpoch: number;
  readonly state: LoaderState;
  next(): Batch;
  /**
   * Continues from a saved state (parsed JSON) of the same set and seed.
   * @throws NextxError DATA_STATE_MISMATCH
   */
  restore(state: unknown): void;
}

/**
 * Batches of `set`.
 * @throws NextxError DATA_BAD_BATCH_SIZE, DATA_BAD_AUGMENTATION, RANDOM_BAD_SEED
 */
export function createLoader(set: ImageSet, options: LoaderOptions): Loader {
  const { batchSize, seed, augment = {}, shuffle = true, dropLast = true } = options;
  requireBatchSize(set, batchSize, dropLast);
  requireAugmentation(augment);
  const changes = RandomStream.from(seed, "data/augment");
  const order = new EpochOrder({
    length: set.length,
    batchSize,
    dropLast,
    ...(shuffle && { stream: RandomStream.from(seed, "data/order") }),
  });

  const read = (indices: Uint32Array, epoch: number): Batch => {
    const pictureLength = set.size * set.size * numChannels;
    const images = new Float32Array(indices.length * pictureLength);
    const labels = new Int32Array(indices.length);
    for (const [i, index] of indices.entries()) {
      const picture = set.get(index);
      const pixels = changesAnything(augment)
        ? augmentImage(picture.pixels, set.size, augment, changes.fork(`${epoch}/${index}`))
        : picture.pixels;
      writePlanes(pixels, set.size, images, i * pictureLength);
      labels[i] = picture.label;
    }
    return { images, labels, indices };
  };

  return {
    batchesPerEpoch: order.batchesPerEpoch,
    get state() {
      const { id, split, version, length } = set;
      return { set: { id, split, version, length }, seed, ...order.position };
    },
    next() {
      const { indices, epoch } = order.next();
      return read(indices, epoch);
    },
    restore(state) {
      order.position = requireState(this.state, state);
    },
  };
}

/** The pictures of a set in its own order, `batchSize` at a time; the last batch of a round holds what is left. */
export const inOrder = (set: ImageSet, batchSize = 32): Loader =>
  createLoader(set, { batchSize, seed: 0, shuffle: false, dropLast: false });

function requireBatchSize(set: ImageSet, batchSize: number, dropLast: boolean): void {
  const largest = dropLast ? set.length : 2 ** 20;
  if (!(Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= largest)) {
    throw new NextxError(
      "DATA_BAD_BATCH_SIZE",
      `A batch has 1 to ${largest} pictures of ${set.id} (${set.split}), got ${String(batchSize)}.`,
      { path: "batchSize", hint: "Choose a smaller batch, or keep incomplete batches (dropLast false)." },
    );
  }
  if (!(set.length >= 1 && set.length < 2 ** 32)) {
    throw new NextxError("DATA_BAD_LENGTH", `A loader takes 1 to 2^32 - 1 pictures, got ${set.length}.`);
  }
}

function requireState(own: LoaderState, state: unknown): LoaderState {
  const path = "loader.state";
  const parsed = loaderStateSchema.safeParse(state);
  if (!parsed.success || parsed.data.position > own.set.length) {
    const reason = parsed.error?.message ?? `the position is beyond ${own.set.length} pictures`;
    throw new NextxError("DATA_STATE_MISMATCH", `This is not the state of a loader: ${reason}.`, { path });
  }
  const source = ({ set, seed }: LoaderState) =>
    `${set.id} (${set.split}, version ${set.version}, ${set.length} pictures), seed ${seed}`;
  if (source(own) !== source(parsed.data)) {
    throw new NextxError(
      "DATA_STATE_MISMATCH",
      `The saved run reads ${source(parsed.data)}; this loader reads ${source(own)}.`,
      { path, hint: "Resume with the data, the split and the seed that the run was started with." },
    );
  }
  return parsed.data;
}

/** Latents of pictures, made once before training: their distributions, from which every step draws afresh. */
import type { LatentCodec } from "../codec/types.ts";
import { inOrder, type Loader } from "../data/loader.ts";
import type { ImageSet } from "../data/types.ts";
import { throwIfAborted } from "../decoding/loop.ts";
import { floats, type Value } from "../runtime/values.ts";
import type { RandomStream } from "../tensor/random.ts";
import { heldOut } from "./observing.ts";
import { type DataRecipe, loaderOf } from "./stageRecipe.ts";
import type { StageContext } from "./system.ts";

/** Scaled latents of N pictures. */
export interface LatentSet {
  /** Channels, rows and columns of a map. */
  readonly shape: readonly [number, number, number];
  /** [N * C * P * P]. */
  readonly mean: Float32Array;
  /** As `mean`; absent where the codec draws nothing. */
  readonly deviation?: Float32Array;
  readonly labels: Int32Array;
}

/** Latents [B, C, P, P] of some pictures: mean + deviation * a fresh standard normal number each. */
export function drawFromSet(set: LatentSet, pictures: ArrayLike<number>, stream: RandomStream): Value {
  const { mean, deviation, shape } = set;
  const length = shape.reduce((a, b) => a * b, 1);
  const out = new Float32Array(pictures.length * length);
  for (let b = 0; b < pictures.length; b++) {
    const from = (pictures[b] as number) * length; // in range
    for (let i = 0; i < length; i++) {
      const spread = deviation === undefined ? 0 : (deviation[from + i] as number) * stream.normal();
      out[b * length + i] = (mean[from + i] as number) + spread;
    }
  }
  return floats(out, [pictures.length, ...shape]);
}

export interface EncodeRequest {
  readonly codec: LatentCodec;
  readonly loader: Loader;
  /** Pictures to encode, augmented ones count. */
  readonly count: number;
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/** Encodes the next pictures of a loader. Errors: ABORTED, between batches. */
export async function encodeLatents({ codec, loader, count, ...request }: EncodeRequest): Promise<LatentSet> {
  const shape = [codec.width, codec.side, codec.side] as const;
  const length = shape.reduce((a, b) => a * b, 1);
  const mean = new Float32Array(count * length);
  let deviation: Float32Array | undefined;
  const labels = new Int32Array(count);
  for (let done = 0; done < count; ) {
    throwIfAborted(request.signal);
    const batch = loader.next();
    const { imageSize: side } = codec;
    const encoded = await codec.encode(floats(batch.images, [batch.labels.length, 3, side, side]));
    const taken = Math.min(batch.labels.length, count - done);
    mean.set((encoded.mean.data as Float32Array).subarray(0, taken * length), done * length); // latents are float32
    if (encoded.deviation !== undefined) {
      deviation ??= new Float32Array(count * length);
      deviation.set((encoded.deviation.data as Float32Array).subarray(0, taken * length), done * length);
    }
    labels.set(batch.labels.subarray(0, taken), done);
    done += taken;
    request.onProgress?.(done);
  }
  return { shape, mean, ...(deviation && { deviation }), labels };
}

/** What encoding gives. */
export interface LatentSplits {
  readonly set: ImageSet;
  readonly validation: ImageSet;
  readonly latents: LatentSet;
  readonly heldOutLatents: LatentSet;
}

/** Encodes `count` training pictures as the recipe varies them, and held-out ones as they are. Errors: ABORTED. */
export async function latentSplits(
  codec: LatentCodec,
  data: DataRecipe,
  count: number,
  { data: open, seed, onProgress, signal }: StageContext,
): Promise<LatentSplits> {
  const [set, validation] = [await open("train"), await open("validation")];
  const stop = signal ? { signal } : {};
  const latents = await encodeLatents({
    ...{ codec, count, ...stop },
    loader: loaderOf(data, set, Math.min(32, set.length), seed),
    onProgress: (done) => onProgress("encoding", done, count),
  });
  const held = Math.min(heldOut.transformer, validation.length);
  const heldOutLatents = await encodeLatents({
    ...{ codec, count: held, ...stop },
    loader: inOrder(validation),
  });
  return { set, validation, latents, heldOutLatents };
}

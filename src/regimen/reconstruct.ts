/** Pictures through a tokenizer and back, batch by batch. */
import { floatToImages, imagesToFloat } from "../data/pixels.ts";
import type { Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";

const batchSize = 32;

/** What turns pictures [B, 3, S, S] in [-1, 1] into `images` of the same shape. */
export interface RoundTrip {
  readonly graph: Graph;
  readonly weights: Weights;
  /** Inputs of the graph besides `images`. */
  readonly inputs?: Readonly<Record<string, Value>>;
}

/**
 * Pictures of size * size * 3 bytes as they come back, rounded to bytes.
 * @throws NextxError DATA_BAD_SHAPE, ABORTED
 */
export async function reconstructPictures(
  { graph, weights, inputs }: RoundTrip,
  pixels: Uint8Array,
  size: number,
  device: Device,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const length = size * size * 3;
  const out = new Uint8Array(pixels.length);
  using program = await compile(graph, { device, weights, prepack: false });
  for (let at = 0; at < pixels.length; at += batchSize * length) {
    if (signal?.aborted) throw new NextxError("ABORTED", "Reconstructing was stopped.");
    const some = pixels.subarray(at, at + batchSize * length);
    const n = some.length / length;
    const given = floats(imagesToFloat(some, n, size), [n, 3, size, size]);
    const { images } = await program.run({ ...inputs, images: given });
    out.set(floatToImages(images?.data as Float32Array, n, size), at); // the graph's output
  }
  return out;
}

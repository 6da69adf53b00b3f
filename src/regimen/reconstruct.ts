/** Pictures through a tokenizer and back, batch by batch. */
import type { LatentCodec } from "../codec/types.ts";
import { floatToImages, imagesToFloat } from "../data/pixels.ts";
import { picturesAtOnce } from "../decoding/decodePictures.ts";
import { throwIfAborted } from "../decoding/loop.ts";
import type { Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";

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
  const atOnce = picturesAtOnce(size);
  const out = new Uint8Array(pixels.length);
  using program = await compile(graph, { device, weights, prepack: false });
  for (let at = 0; at < pixels.length; at += atOnce * length) {
    throwIfAborted(signal);
    const some = pixels.subarray(at, at + atOnce * length);
    const n = some.length / length;
    const given = floats(imagesToFloat(some, n, size), [n, 3, size, size]);
    const { images } = await program.run({ ...inputs, images: given });
    out.set(floatToImages(images?.data as Float32Array, n, size), at); // the graph's output
  }
  return out;
}

/** As `reconstructPictures`, from the means of a codec's latents. */
export async function reconstructThrough(
  codec: LatentCodec,
  pixels: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const { imageSize: size } = codec;
  const length = size * size * 3;
  const atOnce = picturesAtOnce(size);
  const out = new Uint8Array(pixels.length);
  for (let at = 0; at < pixels.length; at += atOnce * length) {
    throwIfAborted(signal);
    const some = pixels.subarray(at, at + atOnce * length);
    const n = some.length / length;
    const { mean } = await codec.encode(floats(imagesToFloat(some, n, size), [n, 3, size, size]));
    out.set(floatToImages((await codec.decode(mean)).data as Float32Array, n, size), at); // pictures are float32
  }
  return out;
}

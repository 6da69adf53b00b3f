/** The loop from a request to pictures: batches of a bounded size, one random stream per picture, previews after groups. */
import { floatToImages } from "../data/pixels.ts";
import { picturesAtOnce } from "../decoding/decodePictures.ts";
import type { Group, Plan } from "../plan/types.ts";
import type { Device } from "../runtime/device.ts";
import type { Value } from "../runtime/values.ts";
import type { RandomStream } from "../tensor/random.ts";
import { pictureStreams } from "./pictureStreams.ts";
import type { SampleEvent, SampleRequest } from "./system.ts";

/** Most pictures that go through a model at once. */
const mostAtOnce = 32;

/**
 * Pictures that go through a scale-wise model at once. Two of 256 px fill a processor with the rows of their scales: more of
 * them take as long each, and memory grows with them.
 */
export function scalesAtOnce({ provider }: Device, imageSize: number): number {
  if (provider !== "cpu" && provider !== "wasm") return mostAtOnce;
  return Math.min(mostAtOnce, picturesAtOnce(imageSize));
}

/** A finished group of every picture. */
export interface MadeGroup<G extends Group> {
  readonly group: G;
  /** [B * N]; absent where sites are not codes. */
  readonly tokens?: Int32Array;
}

/** What makes pictures, group by group. */
export interface PictureGenerator<G extends Group, R extends MadeGroup<G>> {
  readonly plan: Plan<G>;
  readonly nullLabel: number;
  /** Side of a picture in pixels. */
  readonly imageSize: number;
  /** Most pictures of one generation; 32 when absent. */
  readonly atOnce?: number;
  /** One stream per label; yields after every group of the plan. */
  generate(labels: Int32Array, streams: readonly RandomStream[]): AsyncGenerator<R>;
  /** Pictures [B, 3, S, S] in [-1, 1] as far as they are after a group. */
  decode(result: R): Promise<Value>;
}

/** Events of a request, the last one with everything. Errors: those of the generator. */
export async function* samplePictures<G extends Group, R extends MadeGroup<G>>(
  request: SampleRequest,
  { plan, nullLabel, imageSize, atOnce = mostAtOnce, generate, decode }: PictureGenerator<G, R>,
): AsyncGenerator<SampleEvent> {
  const count = request.labels.length;
  const pictureLength = imageSize * imageSize * 3;
  const pixels = new Uint8Array(count * pictureLength).fill(128);
  const ids: Int32Array[] = [];
  const total = Math.ceil(count / atOnce) * plan.groups.length;
  let done = 0;
  for (let first = 0; first < count; first += atOnce) {
    const some = request.labels.slice(first, first + atOnce);
    const labels = Int32Array.from(some, (label) => label ?? nullLabel);
    const streams = pictureStreams(request, first, labels.length);
    for await (const result of generate(labels, streams)) {
      const { group, tokens } = result;
      if (tokens !== undefined) {
        ids[group.index] ??= new Int32Array(count * group.size);
        ids[group.index]?.set(tokens, first * group.size);
      }
      if (group.index === plan.groups.length - 1 || request.previews) {
        const images = await decode(result);
        const bytes = floatToImages(images.data as Float32Array, labels.length, imageSize); // pictures are float32
        pixels.set(bytes, first * pictureLength);
      }
      done++;
      if (request.previews || done === total) yield { done, total, pixels: pixels.slice(), ids: [...ids] };
    }
  }
}

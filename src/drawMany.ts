/** Many pictures of a model for a measurement, with news of how far it is. */
import type { Model } from "./model.ts";

export interface ManyOptions {
  /** Class of every picture. */
  readonly labels: Int32Array;
  readonly seed: number;
  /** Pictures between two pieces of news; 256 when absent. */
  readonly partSize?: number;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

export interface ManyPictures {
  /** Of all pictures, size * size * 3 bytes each. */
  readonly pixels: Uint8Array;
  /** Per group, of all pictures; empty where sites are not codes. */
  readonly ids: readonly Int32Array[];
}

/** The pictures that one request for all of them would get. Errors: those of sampling. */
export async function drawMany(model: Model, options: ManyOptions): Promise<ManyPictures> {
  const { labels, seed, partSize = 256, settings, signal, onProgress } = options;
  const pictureBytes = model.imageSize ** 2 * 3;
  const pixels = new Uint8Array(labels.length * pictureBytes);
  const ids: Int32Array[] = [];
  for (let first = 0; first < labels.length; first += partSize) {
    onProgress?.(`sampling: ${first} of ${labels.length} pictures`);
    const part = [...labels.subarray(first, first + partSize)];
    const request = { ...settings, class: part, count: part.length, first, seed };
    for await (const event of model.sample({ ...request, ...(signal && { signal }) })) {
      pixels.set(event.pixels, first * pictureBytes);
      for (const [group, tokens] of event.ids.entries()) {
        const sites = tokens.length / part.length;
        ids[group] ??= new Int32Array(sites * labels.length);
        ids[group].set(tokens, sites * first);
      }
    }
  }
  return { pixels, ids };
}

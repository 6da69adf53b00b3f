/**
 * Codes or features to pictures, a few at a time: a decoder's memory grows with the pixels of a run, its speed does not.
 * What a layer frees is kept for the next one: fresh pages from the system cost as much as the layers themselves.
 */
import type { Graph } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import type { ProgramStore } from "./programStore.ts";

/** Pixels of one run: two pictures of 256 px, 128 of 32 px. */
const mostPixels = 2 ** 17;

/** Pictures of a side in pixels that go through a program at once: more of them take as long each, and more memory. */
export const picturesAtOnce = (imageSize: number): number =>
  Math.max(1, Math.floor(mostPixels / imageSize ** 2));

/** `graph` takes the input [B, ...] by name and gives `images` [B, 3, S, S], in [-1, 1]; S is `imageSize`. */
export async function decodePictures(
  programs: ProgramStore,
  graph: () => Graph,
  [name, input]: readonly [name: string, input: Value],
  imageSize: number,
): Promise<Value> {
  const [count = 0, ...form] = input.shape;
  const most = picturesAtOnce(imageSize);
  const width = form.reduce((a, b) => a * b, 1);
  const images: Value[] = [];
  for (let first = 0; first < count; first += most) {
    const taken = Math.min(most, count - first);
    const data = input.data.subarray(first * width, (first + taken) * width);
    const part = { [name]: { data, shape: [taken, ...form] } };
    const out = await programs.run("decode", graph, part);
    images.push(out.images as Value); // the graph's output
  }
  const [only] = images;
  if (images.length === 1 && only) return only;
  const [, ...picture] = only?.shape ?? [0, 3, imageSize, imageSize];
  const size = picture.reduce((a, b) => a * b, 1);
  const all = new Float32Array(count * size);
  for (const [i, image] of images.entries()) all.set(image.data as Float32Array, i * most * size);
  return floats(all, [count, ...picture]);
}

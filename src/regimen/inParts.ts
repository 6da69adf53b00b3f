/** Many pictures through a program a few at a time: its memory grows with the pixels of a run, its speed does not. */
import { picturesAtOnce } from "../decoding/decodePictures.ts";
import { floats, type Value } from "../runtime/values.ts";

/** Runs over `count` pictures of a side in pixels, in order: the first of a run, and how many it takes. */
function* parts(count: number, imageSize: number): Generator<readonly [first: number, taken: number]> {
  const most = picturesAtOnce(imageSize);
  for (let first = 0; first < count; first += most) yield [first, Math.min(most, count - first)];
}

/** Pictures [n, 3, S, S] through `run`, which gives as many of the same form. */
export async function picturesInParts(
  pictures: Float32Array,
  size: number,
  run: (part: Value) => Promise<Value | undefined>,
): Promise<Float32Array> {
  const length = 3 * size * size;
  const out = new Float32Array(pictures.length);
  for (const [first, taken] of parts(pictures.length / length, size)) {
    const part = pictures.subarray(first * length, (first + taken) * length);
    const given = floats(part, [taken, 3, size, size]);
    out.set((await run(given))?.data as Float32Array, first * length); // pictures are float32
  }
  return out;
}

/** Means over `count` pictures of outputs that are means over the pictures of a run. */
export async function meansInParts<O extends string>(
  count: number,
  imageSize: number,
  run: (first: number, taken: number) => Promise<Readonly<Record<O, Value>>>,
): Promise<Record<O, number[]>> {
  const means = new Map<string, number[]>();
  for (const [first, taken] of parts(count, imageSize)) {
    const part = Object.entries<Value>(await run(first, taken));
    for (const [name, { data }] of part) {
      const known = means.get(name) ?? Array.from(data, () => 0);
      means.set(
        name,
        known.map((sum, i) => sum + (Number(data[i]) * taken) / count),
      );
    }
  }
  return Object.fromEntries(means) as Record<O, number[]>; // the names of the runs
}

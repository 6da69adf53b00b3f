/** Looks at held-out pictures that stages of several systems share. */
import { composeContactSheet } from "../data/contactSheet.ts";
import { inOrder } from "../data/loader.ts";
import { floatToImages } from "../data/pixels.ts";
import type { ImageSet } from "../data/types.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { picturesInParts } from "./inParts.ts";
import type { RoundTrip } from "./reconstruct.ts";
import type { ImageModel, Observation, SampleRequest } from "./system.ts";

/** Pictures looked at: round trips of a tokenizer, token losses of a transformer, samples. */
export const heldOut = { tokenizer: 128, transformer: 256, samples: 32 };

/** First pictures of a set in its own order: [-1, 1] and labels. */
export function firstPictures(set: ImageSet, count: number) {
  return inOrder(set, Math.min(count, set.length)).next();
}

/** Share of pictures that follow the set's rules for their labels, as a metric; none without rules. */
export function followsRate(
  set: ImageSet,
  pixels: Uint8Array,
  labels: ArrayLike<number>,
): Record<string, number> {
  const { follows, size } = set;
  if (follows === undefined) return {};
  const length = size * size * 3;
  const good = Array.from(labels).filter((label, i) =>
    follows(pixels.subarray(i * length, (i + 1) * length), label),
  );
  return { validity: good.length / labels.length };
}

/** Round trip of pictures [n, 3, S, S]: PSNR, share that keeps the set's rules, originals above reconstructions. */
function roundTrip(
  set: ImageSet,
  { images, labels }: { readonly images: Float32Array; readonly labels: ArrayLike<number> },
  output: Float32Array,
): Observation {
  const [count, { size }] = [labels.length, set];
  const error = output.reduce((t, value, i) => t + (value - (images[i] as number)) ** 2, 0) / output.length;
  const [before, after] = [floatToImages(images, count, size), floatToImages(output, count, size)];
  const shown = Math.min(32, count) * size * size * 3;
  const both = new Uint8Array(2 * shown);
  both.set(before.subarray(0, shown));
  both.set(after.subarray(0, shown), shown);
  return {
    metrics: { psnr: 10 * Math.log10(4 / error), ...followsRate(set, after, labels) },
    picture: composeContactSheet(both, 2 * Math.min(32, count), size, { columns: 16, scale: 2 }),
  };
}

/** A round trip of held-out pictures through a tokenizer. */
export async function observeRoundTrip(
  { graph, weights, inputs }: RoundTrip,
  set: ImageSet,
  device: Device,
): Promise<Observation> {
  const pictures = firstPictures(set, heldOut.tokenizer);
  using program = await compile(graph, { device, weights, prepack: false });
  const output = await picturesInParts(pictures.images, set.size, async (images) => {
    return (await program.run({ ...inputs, images })).images;
  });
  return roundTrip(set, pictures, output);
}

/** Samples of all classes: the share that follows the set's rules, and a sheet. */
export async function observeSamples(
  model: ImageModel,
  set: ImageSet,
  options: SampleRequest["options"] = {},
): Promise<Observation> {
  const { classNames } = model.description;
  const labels = Array.from({ length: heldOut.samples }, (_, i) => i % classNames.length);
  let pixels = new Uint8Array(0);
  for await (const event of model.sample({ labels, seed: 0, options, previews: false }))
    pixels = Uint8Array.from(event.pixels);
  return {
    metrics: followsRate(set, pixels, labels),
    picture: composeContactSheet(pixels, labels.length, set.size, { columns: 8, scale: 3 }),
  };
}

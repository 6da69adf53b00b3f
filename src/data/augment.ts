/**
 * Random changes of a training picture. What happens follows from the stream alone, so the loader gives each
 * (epoch, index) its own stream and a resumed run sees the same pictures.
 */
import { NextxError } from "../tensor/errors.ts";
import type { RandomStream } from "../tensor/random.ts";

/** Which changes are made. */
export interface Augmentation {
  /** Mirror every second picture left to right. */
  readonly horizontalFlip?: boolean;
  /**
   * Enlarge by `ratio` (1 to 2) and take a random window of the old size.
   * Source: VAR `utils/data.py`, build_dataset (mid_reso, official value 1.125).
   */
  readonly crop?: { readonly ratio: number };
}

/** @throws NextxError DATA_BAD_AUGMENTATION */
export function requireAugmentation({ crop }: Augmentation): void {
  if (crop && !(crop.ratio >= 1 && crop.ratio <= 2)) {
    throw new NextxError("DATA_BAD_AUGMENTATION", `A crop ratio is 1 to 2, got ${String(crop.ratio)}.`, {
      path: "augment.crop.ratio",
    });
  }
}

/** Whether anything is changed at all. */
export function changesAnything({ horizontalFlip, crop }: Augmentation): boolean {
  return horizontalFlip === true || crop !== undefined;
}

/** A changed copy of a picture of size * size * 3 bytes. */
export function augmentImage(
  pixels: Uint8Array,
  size: number,
  augmentation: Augmentation,
  stream: RandomStream,
): Uint8Array {
  const flip = stream.integer(2) === 1 && augmentation.horizontalFlip === true;
  const enlarged = Math.round(size * (augmentation.crop?.ratio ?? 1));
  const columns = samplePlan(size, enlarged, stream.integer(enlarged - size + 1));
  const rows = samplePlan(size, enlarged, stream.integer(enlarged - size + 1));
  const out = new Uint8Array(pixels.length);
  for (let i = 0; i < out.length; i++) {
    const [channel, column, row] = [i % 3, Math.floor(i / 3) % size, Math.floor(i / (3 * size))];
    const x = columns[flip ? size - 1 - column : column] as Sample; // column < size
    const y = rows[row] as Sample; // row < size
    const at = (fromRow: number, fromColumn: number) =>
      pixels[(fromRow * size + fromColumn) * 3 + channel] as number; // samples are in range
    const upper = at(y.first, x.first) * (1 - x.weight) + at(y.first, x.second) * x.weight;
    const lower = at(y.second, x.first) * (1 - x.weight) + at(y.second, x.second) * x.weight;
    out[i] = Math.round(upper * (1 - y.weight) + lower * y.weight);
  }
  return out;
}

/** Two source positions and the weight of the second. */
interface Sample {
  readonly first: number;
  readonly second: number;
  readonly weight: number;
}

/** Bilinear source positions of a window that starts at `offset` of the enlarged picture. */
function samplePlan(size: number, enlarged: number, offset: number): Sample[] {
  return Array.from({ length: size }, (_, i) => {
    const source = Math.min(Math.max(((i + offset + 0.5) * size) / enlarged - 0.5, 0), size - 1);
    const first = Math.floor(source);
    return { first, second: Math.min(first + 1, size - 1), weight: source - first };
  });
}

/**
 * The procedural picture set as an `ImageSet`: random access, no files, no state. Each split has its own range of seeds;
 * picture i of a split depends on nothing but the range and i.
 */
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import { Fnv64 } from "../hash.ts";
import type { ImageSet, Split } from "../types.ts";
import { checkSynth } from "./check.ts";
import { drawFactors, type Factors, labelOf, synthClassNames } from "./factors.ts";
import { render, type SynthSize } from "./render.ts";

/** `hashSynth()` of this code; a changed generator is a new version. */
export const synthVersion = "synth-1-b4bbe25ab5e08982";

/** Seeds of a split start here; ranges are 2^40 long. */
const seedStart: Record<Split, number> = { train: 0, validation: 2 ** 40, test: 2 ** 41 };

const defaultLength: Record<Split, number> = { train: 50_000, validation: 2_000, test: 10_000 };

/** What `createSynth` needs. */
export interface SynthOptions {
  readonly size: SynthSize;
  readonly split: Split;
  /** Number of pictures, 1 to 2^40; 50,000 (train), 2,000 (validation) or 10,000 (test) when absent. */
  readonly length?: number;
}

/** Procedural pictures and the factors behind them. */
export interface SynthSet extends ImageSet {
  factors(index: number): Factors;
}

/** Factors of picture `index` of a split, with a random class. */
function factorsAt(split: Split, index: number): Factors {
  return drawFactors(RandomStream.from(seedStart[split] + index, "data/synth"));
}

/**
 * One split of the procedural set.
 * @throws NextxError DATA_BAD_LENGTH, DATA_BAD_INDEX (from get), DATA_BAD_SIZE (from get)
 */
export function createSynth({ size, split, length = defaultLength[split] }: SynthOptions): SynthSet {
  if (!(Number.isInteger(length) && length >= 1 && length <= 2 ** 40)) {
    throw new NextxError("DATA_BAD_LENGTH", `A set has 1 to 2^40 pictures, got ${String(length)}.`, {
      path: "length",
    });
  }
  const factors = (index: number): Factors => {
    if (!(Number.isInteger(index) && index >= 0 && index < length)) {
      throw new NextxError(
        "DATA_BAD_INDEX",
        `This set has pictures 0 to ${length - 1}, got ${String(index)}.`,
        { path: "index" },
      );
    }
    return factorsAt(split, index);
  };
  return {
    id: "synth",
    split,
    size,
    length,
    classNames: synthClassNames,
    version: synthVersion,
    factors,
    get(index) {
      const drawn = factors(index);
      return { pixels: render(drawn, size), label: labelOf(drawn) };
    },
    follows: (pixels, label) => checkSynth(pixels, size, label).pass,
  };
}

/** Version of the generator as it runs here: a hash of pictures from fixed seeds in both sizes and all splits. */
export function hashSynth(): string {
  const hash = new Fnv64();
  for (const split of ["train", "validation", "test"] as const) {
    for (let index = 0; index < 48; index++) {
      const factors = factorsAt(split, index);
      hash.update(render(factors, 32)).update(render(factors, 64));
    }
  }
  return `synth-1-${hash.digest()}`;
}

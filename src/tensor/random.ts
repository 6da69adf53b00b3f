/**
 * Counter-based random numbers: Threefry-2x32, 20 rounds (Salmon et al. 2011), one stream per purpose.
 * The same seed and purpose give the same integers on every platform; a stream's state is two numbers, so it can be saved.
 * There is no global generator.
 */
import { NextxError } from "./errors.ts";

const ROTATIONS_A = [13, 15, 26, 6] as const;
const ROTATIONS_B = [17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** One Threefry-2x32-20 block: writes two 32-bit words into `out`. */
export function threefry2x32(key0: number, key1: number, ctr0: number, ctr1: number, out: Uint32Array): void {
  const key2 = key0 ^ key1 ^ PARITY;
  const keys = [key0, key1, key2];
  let x0 = (ctr0 + key0) | 0;
  let x1 = (ctr1 + key1) | 0;
  for (let group = 0; group < 5; group++) {
    const rotations = group % 2 === 0 ? ROTATIONS_A : ROTATIONS_B;
    for (let round = 0; round < 4; round++) {
      const r = rotations[round] as number; // round < 4
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
    }
    x0 = (x0 + (keys[(group + 1) % 3] as number)) | 0; // index < 3
    x1 = (x1 + (keys[(group + 2) % 3] as number) + group + 1) | 0; // index < 3
  }
  out[0] = x0;
  out[1] = x1;
}

/** What a stream needs to continue exactly where it stopped. */
export interface RandomState {
  readonly key: readonly [number, number];
  /** Number of 32-bit words already taken. */
  readonly position: number;
}

/** A named stream of random numbers. */
export class RandomStream {
  readonly #key0: number;
  readonly #key1: number;
  #position: number;
  readonly #block = new Uint32Array(2);
  #blockIndex = -1;

  private constructor(key0: number, key1: number, position: number) {
    this.#key0 = key0 | 0;
    this.#key1 = key1 | 0;
    this.#position = position;
  }

  /**
   * The stream of `seed` (an integer, 0 to 2^53 - 1) for a purpose such as `"sample/categorical"`.
   * @throws NextxError RANDOM_BAD_SEED
   */
  static from(seed: number, purpose: string): RandomStream {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new NextxError(
        "RANDOM_BAD_SEED",
        `A seed is an integer from 0 to 2^53 - 1, got ${String(seed)}.`,
        {
          path: "seed",
        },
      );
    }
    return new RandomStream(seed >>> 0, Math.floor(seed / 2 ** 32), 0).fork(purpose);
  }

  /** Continues a saved stream. @throws NextxError RANDOM_BAD_STATE */
  static restore(state: RandomState): RandomStream {
    const { key, position } = state;
    const good = key.length === 2 && [...key, position].every(Number.isSafeInteger) && position >= 0;
    if (!good)
      throw new NextxError("RANDOM_BAD_STATE", "A saved random state is two key words and a position.");
    return new RandomStream(state.key[0], state.key[1], state.position);
  }

  get state(): RandomState {
    return { key: [this.#key0, this.#key1], position: this.#position };
  }

  /** An independent stream; depends on this stream's key and the name, not on how much was drawn. */
  fork(name: string | number): RandomStream {
    const text = String(name);
    let key0 = this.#key0;
    let key1 = this.#key1;
    const out = new Uint32Array(2);
    // The second counter word is one that a stream never reaches; an empty name takes the last one.
    for (let i = 0; i < Math.max(1, text.length); i++) {
      const [code, place] = text === "" ? [0, -1] : [text.charCodeAt(i), i + 1];
      threefry2x32(key0, key1, code, place, out);
      key0 = out[0] as number; // out has two words
      key1 = out[1] as number;
    }
    return new RandomStream(key0, key1, 0);
  }

  /** An integer from 0 to 2^32 - 1. */
  uint32(): number {
    const blockIndex = Math.floor(this.#position / 2);
    if (blockIndex !== this.#blockIndex) {
      threefry2x32(this.#key0, this.#key1, blockIndex >>> 0, Math.floor(blockIndex / 2 ** 32), this.#block);
      this.#blockIndex = blockIndex;
    }
    return this.#block[this.#position++ % 2] as number; // index 0 or 1
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    const high = this.uint32() >>> 5;
    const low = this.uint32() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  /** A standard normal number (Box-Muller, one number per two uniforms). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** An integer from 0 to n - 1, without bias. @throws NextxError RANDOM_BAD_RANGE */
  integer(n: number): number {
    if (!(Number.isInteger(n) && n >= 1 && n <= 2 ** 32)) {
      throw new NextxError(
        "RANDOM_BAD_RANGE",
        `integer(n) needs a whole number from 1 to 2^32, got ${String(n)}.`,
      );
    }
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const word = this.uint32();
      if (word < limit) return word % n;
    }
  }

  /** A random order of 0 .. n - 1 (Fisher-Yates). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swap = order[i] as number; // i, j < n
      order[i] = order[j] as number;
      order[j] = swap;
    }
    return order;
  }

  /** `length` standard normal numbers times `std`. */
  normals(length: number, std = 1): Float32Array {
    return Float32Array.from({ length }, () => this.normal() * std);
  }

  /** `length` exponential numbers of rate 1, never 0 (for Gumbel-max draws). */
  exponentials(length: number): Float32Array {
    return Float32Array.from({ length }, () => Math.max(-Math.log(1 - this.uniform()), 1e-20));
  }
}

/**
 * Watching a codebook: exponentially averaged usage per scale, perplexity, dead codes, and their restart. Collapse of the
 * coarse scales is the usual failure of multi-scale tokenizers.
 */
import type { RandomStream } from "../tensor/random.ts";

export interface UsageReport {
  /** Share of codes used at least `deadBelow` times their uniform share, per scale. */
  readonly usage: readonly number[];
  /** exp(entropy) of the code distribution, per scale. */
  readonly perplexity: readonly number[];
  /** Codes no scale uses. */
  readonly deadCodes: number;
}

/** Usage statistics of a codebook of `vocabSize` codes over scales of the given sizes. */
export class CodebookUsage {
  readonly #vocabSize: number;
  readonly #sizes: readonly number[];
  readonly #decay: number;
  /** Averaged hits per step, scale-major. */
  #hits: Float64Array;
  #steps = 0;

  constructor(vocabSize: number, sizes: readonly number[], decay = 0.99) {
    this.#vocabSize = vocabSize;
    this.#sizes = sizes;
    this.#decay = decay;
    this.#hits = new Float64Array(vocabSize * sizes.length);
  }

  /** Adds the ids [B, L] of a batch, whose scales may have other sizes than usual. */
  add(ids: Int32Array, sizes = this.#sizes): void {
    const length = sizes.reduce((a, b) => a + b, 0);
    const counts = new Float64Array(this.#hits.length);
    let start = 0;
    sizes.forEach((size, scale) => {
      for (let base = start; base < ids.length; base += length) {
        for (let i = base; i < base + size; i++) {
          const at = scale * this.#vocabSize + (ids[i] as number); // i within the batch
          counts[at] = (counts[at] as number) + 1;
        }
      }
      start += size;
    });
    this.#steps++;
    const decay = Math.min(this.#decay, this.#steps / (this.#steps + 9));
    this.#hits = this.#hits.map((old, i) => decay * old + (1 - decay) * (counts[i] as number));
  }

  report(deadBelow = 0.03): UsageReport {
    const scales = this.#sizes.map((_, s) =>
      this.#hits.subarray(s * this.#vocabSize, (s + 1) * this.#vocabSize),
    );
    const dead = this.dead(deadBelow);
    return {
      usage: scales.map((hits) => {
        const floor = (deadBelow * hits.reduce((a, b) => a + b, 0)) / this.#vocabSize;
        return hits.filter((value) => value > floor).length / this.#vocabSize;
      }),
      perplexity: scales.map((hits) => {
        const total = hits.reduce((a, b) => a + b, 0) || 1;
        return Math.exp(
          -hits.reduce((h, value) => (value > 0 ? h + (value / total) * Math.log(value / total) : h), 0),
        );
      }),
      deadCodes: dead.length,
    };
  }

  /** Codes whose hits over all scales are below a fraction of the uniform share. */
  dead(below = 0.03): number[] {
    const totals = new Float64Array(this.#vocabSize);
    this.#hits.forEach((value, i) => {
      totals[i % this.#vocabSize] = (totals[i % this.#vocabSize] as number) + value;
    });
    const floor = (below * totals.reduce((a, b) => a + b, 0)) / this.#vocabSize;
    return [...totals.keys()].filter((code) => (totals[code] as number) <= floor);
  }

  /**
   * Moves dead codes next to codes in use, drawn by their frequency, with a small jitter: both then share the load.
   * Writes into `codebook` [V, width] and gives each pair half of the hits. Returns the moved codes.
   */
  restart(codebook: Float32Array, stream: RandomStream, below = 0.03): number[] {
    const width = codebook.length / this.#vocabSize;
    const dead = this.dead(below);
    const isDead = new Set(dead);
    const totals = Array.from({ length: this.#vocabSize }, (_, code) =>
      isDead.has(code)
        ? 0
        : this.#sizes.reduce((t, __, s) => t + (this.#hits[s * this.#vocabSize + code] as number), 0),
    );
    const sum = totals.reduce((a, b) => a + b, 0);
    if (sum === 0) return [];
    const spread = Math.sqrt(codebook.reduce((t, v) => t + v * v, 0) / codebook.length);
    for (const code of dead) {
      const source = drawIndex(totals, stream.uniform() * sum);
      for (let c = 0; c < width; c++) {
        codebook[code * width + c] =
          (codebook[source * width + c] as number) + stream.normal() * 0.05 * spread;
      }
      for (let s = 0; s < this.#sizes.length; s++) {
        const [from, to] = [s * this.#vocabSize + source, s * this.#vocabSize + code];
        const half = (this.#hits[from] as number) / 2;
        this.#hits[from] = half;
        this.#hits[to] = half;
      }
    }
    return dead;
  }

  get state(): { steps: number; hits: number[] } {
    return { steps: this.#steps, hits: Array.from(this.#hits) };
  }

  set state({ steps, hits }: { steps: number; hits: readonly number[] }) {
    this.#steps = steps;
    this.#hits = Float64Array.from(hits);
  }
}

/** Index whose cumulated weight first exceeds `target`. */
function drawIndex(weights: readonly number[], target: number): number {
  let left = target;
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return i;
  }
  return Math.max(
    weights.findIndex((weight) => weight > 0),
    0,
  );
}

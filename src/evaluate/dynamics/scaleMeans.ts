/** Means per scale over pictures, with their standard errors; every token of a scale weighs the same. */
import type { Plan, Scale } from "../../plan/types.ts";

/** One quantity over the scales of a schedule. */
export interface PerScale {
  /** One mean per scale. */
  readonly scales: readonly number[];
  /** Standard error of each mean over pictures; 0 for one picture. */
  readonly standardErrors: readonly number[];
  /** Mean over all tokens, so that a scale weighs by its size. */
  readonly overall: number;
}

export class ScaleMeans {
  readonly #plan: Plan<Scale>;
  readonly #sums: Float64Array;
  readonly #squares: Float64Array;
  #count = 0;

  constructor(plan: Plan<Scale>) {
    this.#plan = plan;
    this.#sums = new Float64Array(plan.groups.length);
    this.#squares = new Float64Array(plan.groups.length);
  }

  /** Takes values of tokens, [B * L]. */
  add(values: Float32Array): void {
    const { groups, length } = this.#plan;
    for (let first = 0; first < values.length; first += length) {
      this.#count++;
      for (const { index, start, size } of groups) {
        let sum = 0;
        for (let i = first + start; i < first + start + size; i++) sum += values[i] as number; // in range
        const mean = sum / size;
        this.#sums[index] = (this.#sums[index] as number) + mean; // one per scale
        this.#squares[index] = (this.#squares[index] as number) + mean * mean;
      }
    }
  }

  result(): PerScale {
    const { groups, length } = this.#plan;
    const n = this.#count;
    const scales = Array.from(this.#sums, (sum) => sum / n);
    const standardErrors = scales.map((mean, s) => {
      const variance = ((this.#squares[s] as number) / n - mean * mean) * (n / (n - 1)); // one per scale
      return n > 1 ? Math.sqrt(Math.max(0, variance) / n) : 0;
    });
    const overall = groups.reduce((sum, { size }, s) => sum + size * (scales[s] as number), 0) / length;
    return { scales, standardErrors, overall };
  }
}

/**
 * AdamW on the host, in typed arrays: one pass over parameters and moments instead of a dozen in the graph, and only
 * gradients cross the runtime's border (moments would cost 0.45 ms per MB and step each way).
 */
import type { Weights } from "../nn/scope.ts";
import type { Value } from "../runtime/values.ts";
import { invariant } from "../tensor/errors.ts";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** Gradients are scaled down to this L2 norm over all parameters; 0 switches clipping off. */
  readonly clipNorm: number;
  /** True for parameters without weight decay. */
  readonly undecayed: (name: string, shape: readonly number[]) => boolean;
}

export const defaultAdamW: AdamWOptions = {
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.05,
  clipNorm: 2,
  undecayed: (_, shape) => shape.length <= 1,
};

interface Moments {
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/** L2 norm over all gradients. */
export function gradientNorm(gradients: ReadonlyMap<string, Float32Array>): number {
  let total = 0;
  for (const g of gradients.values()) {
    let sum = 0;
    for (let i = 0; i < g.length; i++) sum += (g[i] as number) ** 2; // i in range
    total += sum;
  }
  return Math.sqrt(total);
}

/** Optimiser state of some parameters; updates weights in place. */
export class AdamW {
  readonly options: AdamWOptions;
  readonly #moments = new Map<string, Moments>();
  #step = 0;

  constructor(options: AdamWOptions) {
    this.options = options;
  }

  get step(): number {
    return this.#step;
  }

  /** One update with these gradients (by parameter name); returns the gradient norm before clipping. */
  update(weights: Weights, gradients: ReadonlyMap<string, Float32Array>, learningRate: number): number {
    const { beta1, beta2, clipNorm, weightDecay, undecayed } = this.options;
    const norm = gradientNorm(gradients);
    const scale = clipNorm > 0 && norm > clipNorm ? clipNorm / (norm + 1e-6) : 1;
    this.#step++;
    const correction1 = 1 - beta1 ** this.#step;
    const correction2 = Math.sqrt(1 - beta2 ** this.#step);
    for (const [name, gradient] of gradients) {
      const weight = weights.get(name);
      invariant(
        weight !== undefined && weight.data.length === gradient.length,
        `Gradient of "${name}" fits its weight.`,
      );
      const moments = this.#moments.get(name) ?? {
        first: new Float32Array(gradient.length),
        second: new Float32Array(gradient.length),
      };
      this.#moments.set(name, moments);
      const decay = undecayed(name, weight.shape) ? 0 : learningRate * weightDecay;
      this.#updateOne(weight.data as Float32Array, gradient, moments, {
        scale,
        decay,
        rate: learningRate / correction1,
        correction2,
      });
    }
    return norm;
  }

  #updateOne(
    p: Float32Array,
    gradient: Float32Array,
    { first, second }: Moments,
    { scale, decay, rate, correction2 }: { scale: number; decay: number; rate: number; correction2: number },
  ): void {
    const { beta1, beta2, eps } = this.options;
    const [rest1, rest2, keep] = [1 - beta1, 1 - beta2, 1 - decay];
    for (let i = 0; i < p.length; i++) {
      // all arrays have p.length elements
      const g = (gradient[i] as number) * scale;
      const m = beta1 * (first[i] as number) + rest1 * g;
      const v = beta2 * (second[i] as number) + rest2 * g * g;
      first[i] = m;
      second[i] = v;
      p[i] = (p[i] as number) * keep - (rate * m) / (Math.sqrt(v) / correction2 + eps);
    }
  }

  /** Clears the moments of some rows, for example of restarted codes. */
  forget(name: string, start: number, end: number): void {
    this.#moments.get(name)?.first.fill(0, start, end);
    this.#moments.get(name)?.second.fill(0, start, end);
  }

  /** Copies of the moments as tensors `m.<name>` and `v.<name>`. */
  save(weights: Weights): Map<string, Value> {
    const saved = new Map<string, Value>();
    for (const [name, { first, second }] of this.#moments) {
      const shape = weights.get(name)?.shape ?? [first.length];
      saved.set(`m.${name}`, { data: first.slice(), shape });
      saved.set(`v.${name}`, { data: second.slice(), shape });
    }
    return saved;
  }

  /** Restores what `save` gave after `step` updates. */
  restore(saved: ReadonlyMap<string, Value>, step: number): void {
    this.#step = step;
    this.#moments.clear();
    for (const [key, { data }] of saved) {
      if (!key.startsWith("m.")) continue;
      const second = saved.get(`v.${key.slice(2)}`);
      invariant(second !== undefined, `Both moments of "${key.slice(2)}" were saved.`);
      this.#moments.set(key.slice(2), {
        first: Float32Array.from(data),
        second: Float32Array.from(second.data),
      });
    }
  }
}

/** Exponential moving average of weights: average = decay average + (1 - decay) weights. */
export function updateAverage(average: Weights, weights: Weights, decay: number): void {
  for (const [name, { data }] of weights) {
    const mean = average.get(name)?.data as Float32Array; // weights are float32
    const rest = 1 - decay;
    for (let i = 0; i < mean.length; i++) mean[i] = decay * (mean[i] as number) + rest * (data[i] as number);
  }
}

/** A deep copy. */
export function copyWeights(weights: Weights): Weights {
  return new Map([...weights].map(([name, { data, shape }]) => [name, { data: data.slice(), shape }]));
}

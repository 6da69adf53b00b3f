/**
 * Discrete Fourier transforms of real series as matrix products: exact to float32 rounding on every provider and
 * differentiable like any product. Short lengths are one product; long ones split the length N = P Q into a transform of
 * P, factors in between, and a transform of Q (Cooley and Tukey), which takes N (P + Q) multiply-adds per series.
 * Shape letters: N length, F = floor(N / 2) + 1 frequencies, P and Q factors of N.
 */
import { add, mul, neg, sub } from "../tensor/ops/elementwise.ts";
import { linear, matmul } from "../tensor/ops/linear.ts";
import { concat, pad, reshape, slice, transpose } from "../tensor/ops/structure.ts";
import { constant, dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";

/** Complex numbers as two real tensors of one shape. */
export interface Complex {
  readonly re: Tensor;
  readonly im: Tensor;
}

/** Up to this length one product with the whole matrix is used. */
export const directLength = 256;

/** The divisor of n nearest to its root from below; 1 for primes. */
function largestFactor(n: number): number {
  let factor = Math.floor(Math.sqrt(n));
  while (n % factor !== 0) factor--;
  return factor;
}

/** cos or sin of 2 pi i j / n in row i and column j. */
function wave(kind: "cos" | "sin", rows: number, columns: number, n: number): Tensor {
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) data[i * columns + j] = Math[kind]((2 * Math.PI * ((i * j) % n)) / n);
  return constant(data, [rows, columns]);
}

const lastSwapped = (x: Tensor): Tensor => {
  const order = x.shape.map((_, axis) => axis);
  const rank = order.length;
  return transpose(x, [...order.slice(0, -2), rank - 1, rank - 2]);
};

/** Transforms of one length along the last axis. Matrices are made once per instance. */
export class RealTransform {
  readonly length: number;
  /** Number of frequencies. */
  readonly frequencies: number;
  readonly #made = new Map<string, Tensor>();

  constructor(length: number) {
    this.length = length;
    this.frequencies = Math.floor(length / 2) + 1;
  }

  #matrix(name: string, make: () => Tensor): Tensor {
    const known = this.#made.get(name) ?? make();
    this.#made.set(name, known);
    return known;
  }

  /** Both sides of a split length, or undefined where one product does. */
  get #sides(): readonly [number, number] | undefined {
    const p = largestFactor(this.length);
    return this.length <= directLength || p === 1 ? undefined : [p, this.length / p];
  }

  /** X_k = sum_n x_n exp(-2 pi i k n / N): x [..., n <= N], zeros behind it -> [..., F]. */
  forward(x: Tensor): Complex {
    const sides = this.#sides;
    if (sides) return this.#forwardSplit(x, ...sides);
    const n = staticDim(dimOf(x, -1), "A transform");
    const rows = this.#matrix(`forward ${n}`, () => this.#directRows(n));
    return this.#parts(linear(x, rows));
  }

  /** The real series of a spectrum [..., F]; only its first `keep` values: [..., keep]. */
  inverse({ re, im }: Complex, keep = this.length): Tensor {
    const weighted = mul(
      concat([re, im], -1),
      this.#matrix("weights", () => this.#weights()),
    );
    const sides = this.#sides;
    if (sides) return this.#inverseSplit(this.#parts(weighted), keep, ...sides);
    const rows = this.#matrix(`forward ${keep}`, () => this.#directRows(keep));
    return matmul(weighted, rows);
  }

  #parts(joined: Tensor): Complex {
    const { frequencies } = this;
    return {
      re: slice(joined, -1, 0, frequencies),
      im: slice(joined, -1, frequencies, 2 * frequencies),
    };
  }

  /** [2 F, n]: cosines, then negative sines. */
  #directRows(n: number): Tensor {
    const { length, frequencies } = this;
    const data = new Float32Array(2 * frequencies * n);
    for (let k = 0; k < frequencies; k++) {
      for (let t = 0; t < n; t++) {
        const angle = (2 * Math.PI * ((k * t) % length)) / length;
        data[k * n + t] = Math.cos(angle);
        data[(frequencies + k) * n + t] = -Math.sin(angle);
      }
    }
    return constant(data, [2 * frequencies, n]);
  }

  /** [2 F]: 1 / N for the frequencies 0 and N / 2, 2 / N for those that stand for two. */
  #weights(): Tensor {
    const { length, frequencies } = this;
    const one = (k: number) => (k === 0 || 2 * k === length ? 1 : 2) / length;
    return constant(
      Float32Array.from({ length: 2 * frequencies }, (_, i) => one(i % frequencies)),
      [2 * frequencies],
    );
  }

  /** Matrices of a split: P x P, the factors P x Q, and Q x (floor(Q / 2) + 1), each as cosine and sine. */
  #split(p: number, q: number) {
    const half = Math.floor(q / 2) + 1; // more are not needed: the input is real
    const pair = (name: string, rows: number, columns: number, n: number) =>
      (["cos", "sin"] as const).map((kind) =>
        this.#matrix(`${kind} ${name}`, () => wave(kind, rows, columns, n)),
      ) as [Tensor, Tensor];
    return { p: pair("p", p, p, p), between: pair("between", p, q, p * q), q: pair("q", q, half, q), half };
  }

  #forwardSplit(x: Tensor, p: number, q: number): Complex {
    const before = x.shape.slice(0, -1);
    const n = staticDim(dimOf(x, -1), "A transform");
    const grid = reshape(pad(x, -1, 0, this.length - n), [...before, p, q]); // n = n1 Q + n2
    const split = this.#split(p, q);
    const u = { re: matmul(split.p[0], grid), im: neg(matmul(split.p[1], grid)) }; // (.., k1, n2)
    const z = multiply(u, { re: split.between[0], im: neg(split.between[1]) });
    const [cos, sin] = split.q;
    const re = add(matmul(z.re, cos), matmul(z.im, sin)); // (.., k1, k2)
    const im = sub(matmul(z.im, cos), matmul(z.re, sin));
    const flat = (part: Tensor) =>
      slice(reshape(lastSwapped(part), [...before, p * split.half]), -1, 0, this.frequencies); // k = k1 + P k2
    return { re: flat(re), im: flat(im) };
  }

  /** The transpose of `#forwardSplit`, applied to a weighted spectrum. */
  #inverseSplit({ re, im }: Complex, keep: number, p: number, q: number): Tensor {
    const before = re.shape.slice(0, -1);
    const split = this.#split(p, q);
    const grid = (part: Tensor) =>
      lastSwapped(
        reshape(pad(part, -1, 0, p * split.half - this.frequencies), [...before, split.half, p]), // (.., k2, k1)
      );
    const y = { re: grid(re), im: grid(im) }; // (.., k1, k2)
    const [cos, sin] = split.q;
    const z = {
      re: sub(matmul(y.re, cos, false, true), matmul(y.im, sin, false, true)), // (.., k1, n2)
      im: add(matmul(y.re, sin, false, true), matmul(y.im, cos, false, true)),
    };
    const u = multiply(z, { re: split.between[0], im: split.between[1] });
    const x = sub(matmul(split.p[0], u.re), matmul(split.p[1], u.im)); // (.., n1, n2); both matrices are symmetric
    return slice(reshape(x, [...before, this.length]), -1, 0, keep);
  }
}

/** a b */
export function multiply(a: Complex, b: Complex): Complex {
  return {
    re: sub(mul(a.re, b.re), mul(a.im, b.im)),
    im: add(mul(a.re, b.im), mul(a.im, b.re)),
  };
}

/** a conj(b) */
export function multiplyConjugate(a: Complex, b: Complex): Complex {
  return {
    re: add(mul(a.re, b.re), mul(a.im, b.im)),
    im: sub(mul(a.im, b.re), mul(a.re, b.im)),
  };
}

/** y_t = sum_i kernel_i x_(t - i), zeros before the start: x [..., C, L] and kernels [C, L or less] -> [..., C, L]. */
export function causalConvolution(x: Tensor, kernels: Tensor): Tensor {
  const length = staticDim(dimOf(x, -1), "A convolution");
  const transform = new RealTransform(2 * length);
  return transform.inverse(multiply(transform.forward(x), transform.forward(kernels)), length);
}

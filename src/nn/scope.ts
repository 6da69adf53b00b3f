/**
 * Named parameters. A model is a function that asks a scope for its parameters; tracing it once tells every name, shape
 * and initial distribution, so official sizes can be checked without allocating a weight. Names are the official ones.
 */
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import type { RandomStream } from "../tensor/random.ts";
import { input, type Tensor } from "../tensor/tensor.ts";

/** Draws the first values of a parameter. */
export type Initializer = (stream: RandomStream, shape: readonly number[]) => Float32Array;

export interface ParameterSpec {
  readonly shape: readonly number[];
  readonly initial: Initializer;
}

/** Parameters by checkpoint name; float32, row-major. */
export type Weights = Map<string, Value>;

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export const zeros: Initializer = (_, shape) => new Float32Array(count(shape));
export const filled =
  (value: number): Initializer =>
  (_, shape) =>
    new Float32Array(count(shape)).fill(value);
export const normal =
  (std: number): Initializer =>
  (stream, shape) =>
    stream.normals(count(shape), std);
/** Uniform in [-bound, bound]. */
export const uniform =
  (bound: number): Initializer =>
  (stream, shape) =>
    Float32Array.from({ length: count(shape) }, () => (2 * stream.uniform() - 1) * bound);
/** Normal, redrawn outside two standard deviations. */
export const truncatedNormal =
  (std: number): Initializer =>
  (stream, shape) =>
    Float32Array.from({ length: count(shape) }, () => {
      for (;;) {
        const value = stream.normal();
        if (Math.abs(value) <= 2) return value * std;
      }
    });
/** The default of PyTorch's Linear and Conv2d: uniform within 1 / sqrt(fan in). */
export const fanInUniform: Initializer = (stream, shape) =>
  uniform(1 / Math.sqrt(count(shape.slice(1))))(stream, shape);
/** Xavier's uniform distribution of a matrix [out, in]: within sqrt(6 / (out + in)). */
export const xavierUniform: Initializer = (stream, shape) =>
  uniform(Math.sqrt(6 / ((shape[0] ?? 1) + (shape[1] ?? 1))))(stream, shape);
/** Another initializer, times a number. */
export const scaledInit =
  (initial: Initializer, factor: number): Initializer =>
  (stream, shape) =>
    initial(stream, shape).map((value) => value * factor);

/** Hands out parameters under a name prefix and records what was asked for. */
export class Scope {
  readonly #prefix: string;
  readonly #specs: Map<string, ParameterSpec>;
  readonly #tensors: Map<string, Tensor>;

  private constructor(prefix: string, specs: Map<string, ParameterSpec>, tensors: Map<string, Tensor>) {
    this.#prefix = prefix;
    this.#specs = specs;
    this.#tensors = tensors;
  }

  /** A fresh scope; names start with `prefix`, which may be empty. */
  static root(prefix = ""): Scope {
    return new Scope(prefix, new Map(), new Map());
  }

  /** The scope of a part: `scope.in("blocks", 0)` names its parameters `blocks.0.*`. */
  in(...names: readonly (string | number)[]): Scope {
    return new Scope(`${this.#prefix}${names.join(".")}.`, this.#specs, this.#tensors);
  }

  /** A parameter; asking twice gives the same tensor. Errors: PARAMETER_CLASH for another shape under the same name. */
  param(name: string, shape: readonly number[], initial: Initializer): Tensor {
    const full = this.#prefix + name;
    const known = this.#specs.get(full);
    if (known !== undefined && String(known.shape) !== String(shape)) {
      throw new NextxError("PARAMETER_CLASH", `Asked as [${shape}] and as [${known.shape}].`, { path: full });
    }
    const tensor = this.#tensors.get(full) ?? input(full, { dtype: "float32", shape });
    if (known === undefined) this.#specs.set(full, { shape, initial });
    this.#tensors.set(full, tensor);
    return tensor;
  }

  /** Everything asked for so far (the whole tree), in order. */
  get specs(): ReadonlyMap<string, ParameterSpec> {
    return this.#specs;
  }

  /** The tensor of a full name, for gradients. */
  get tensors(): ReadonlyMap<string, Tensor> {
    return this.#tensors;
  }
}

/** First values for every spec, each from its own stream: adding a parameter does not change the others. */
export function initialise(specs: ReadonlyMap<string, ParameterSpec>, stream: RandomStream): Weights {
  return new Map(
    [...specs].map(([name, { shape, initial }]) => [
      name,
      { data: initial(stream.fork(name), shape), shape },
    ]),
  );
}

export function parameterCount(specs: ReadonlyMap<string, ParameterSpec>): number {
  return [...specs.values()].reduce((total, { shape }) => total + count(shape), 0);
}

/**
 * One op against the float64 reference: forward, gradient and second gradient. Test-only.
 * onnxruntime's numbers are compared entry by entry with the reference's; the reference's gradients with central
 * differences. So a wrong gradient rule and a wrong lowering fail in different places. Failures are plain errors: the
 * contract suite runs the same checks outside vitest.
 */
import { evaluateDim, symbol } from "../../tensor/dims.ts";
import { grad } from "../../tensor/grad.ts";
import { topologicalOrder } from "../../tensor/graph.ts";
import { add, mul, square } from "../../tensor/ops/elementwise.ts";
import { sum } from "../../tensor/ops/structure.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type DType, input, scalar, type Tensor, type TensorSpec } from "../../tensor/tensor.ts";
import { count, type Nd, nd } from "../../tensor/testing/ndarray.ts";
import { directionalDerivative, numericGradient, Reference } from "../../tensor/testing/reference.ts";
import type { Device } from "../device.ts";
import { fixSizes } from "../fixedSizes.ts";
import { compile, type Program } from "../program.ts";
import { type Graph, trace } from "../trace.ts";
import { bools, floats, ints, type Value } from "../values.ts";

export type Tensors = Readonly<Record<string, Tensor>>;
export type Sizes = Readonly<Record<string, number>>;

/** What to check: `build` gives one or more outputs over the same inputs. */
export interface OpCase<N extends string = string> {
  readonly inputs: Readonly<Record<N, TensorSpec>>;
  readonly build: (inputs: Readonly<Record<N, Tensor>>) => Tensors;
  /** Entry of an input; default: normal numbers, integers from -4 to 4, coin flips. */
  readonly draw?: Readonly<Partial<Record<N, (random: RandomStream, position: number) => number>>>;
  /** How often to differentiate (default 2). */
  readonly derivatives?: 0 | 1 | 2;
  /** Largest error relative to max(1, largest entry), for float32 results (default 2e-5). */
  readonly tolerance?: number;
}

interface Prepared {
  readonly graph: Graph;
  readonly specs: Readonly<Record<string, TensorSpec>>;
  readonly reference: Reference;
  /** Per output: the scalar whose gradients are outputs too, and their names by input. */
  readonly losses: readonly Loss[];
  /** Every declared input: they bind symbols that a loss does not reach. */
  readonly carriers: readonly Tensor[];
  readonly outputs: Tensors;
}

interface Loss {
  readonly loss: Tensor;
  readonly second: boolean;
  readonly gradients: ReadonlyMap<string, string>;
}

const defaultDraw: Record<DType, (random: RandomStream) => number> = {
  float32: (random) => random.normal(),
  int32: (random) => random.integer(9) - 4,
  bool: (random) => random.integer(2),
};

/** Values of a drawn array for the program, rounded to its dtype, and the same numbers for the reference. */
export function toValue(dtype: DType, data: ArrayLike<number>, shape: readonly number[]): Value {
  if (dtype === "float32") return floats(Float32Array.from(data), shape);
  return dtype === "int32" ? ints(Int32Array.from(data), shape) : bools(Uint8Array.from(data), shape);
}

export function toNd(value: Value): Nd {
  return nd(value.data, value.shape);
}

/** Asserts shape and entries; NaN equals NaN and infinities equal themselves. */
export function expectClose(actual: Value | Nd, expected: Nd, tolerance: number, label: string): void {
  if (String(actual.shape) !== String(expected.shape))
    throw new Error(`${label} has shape [${actual.shape}], expected [${expected.shape}]`);
  const scale = expected.data.reduce((top, v) => (Number.isFinite(v) ? Math.max(top, Math.abs(v)) : top), 1);
  expected.data.forEach((want, i) => {
    const got = actual.data[i] as number;
    const same = Object.is(got, want) || got === want || Math.abs(got - want) <= tolerance * scale;
    if (!same) throw new Error(`${label}: entry ${i} of [${actual.shape}] is ${got}, expected ${want}`);
  });
}

function floatInputs(inputs: Tensors): [string, Tensor][] {
  return Object.entries(inputs).filter(([, tensor]) => tensor.dtype === "float32");
}

function sumOfSquares(tensors: readonly Tensor[]): Tensor {
  return tensors.map((x) => sum(square(x))).reduce((a, b) => add(a, b), scalar(0));
}

/** Adds gradients and second gradients of each float output; `cotangents` weight its entries. */
function differentiate(outputs: Tensors, inputs: Tensors, order: number): { all: Tensors; losses: Loss[] } {
  const all: Record<string, Tensor> = { ...outputs };
  const losses: Loss[] = [];
  const record = (
    name: string,
    loss: Tensor,
    wrt: readonly [string, Tensor][],
    second: boolean,
  ): Tensor[] => {
    const gradients = grad(
      loss,
      wrt.map(([, x]) => x),
    );
    const names = new Map(wrt.map(([x]) => [x, `d${name}/d${x}`] as const));
    for (const [i, key] of [...names.values()].entries()) all[key] = gradients[i] as Tensor;
    losses.push({ loss, second, gradients: names });
    return gradients;
  };
  for (const [name, output] of Object.entries(outputs)) {
    if (output.dtype !== "float32" || order === 0) continue;
    const reached = new Set(topologicalOrder([output]));
    const wrt = floatInputs(inputs).filter(([, x]) => reached.has(x));
    if (wrt.length === 0) continue;
    const weight = inputs[`cot_${name}`] as Tensor; // declared for every float output
    const first = record(name, sum(mul(output, weight)), wrt, false);
    if (order === 2) record(`d${name}`, sumOfSquares(first), [...wrt, [`cot_${name}`, weight]], true);
  }
  return { all, losses };
}

function placeholders(specs: Readonly<Record<string, TensorSpec>>): Tensors {
  return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, input(name, spec)]));
}

function prepare(opCase: OpCase, forward: Tensors): Prepared {
  const cotangents = Object.entries(forward)
    .filter(([, y]) => y.dtype === "float32")
    .map(([name, { shape }]) => [`cot_${name}`, { dtype: "float32" as const, shape }] as const);
  const specs = { ...opCase.inputs, ...Object.fromEntries(cotangents) };
  let described: ReturnType<typeof differentiate> | undefined;
  const graph = trace(specs, (inputs) => {
    described = differentiate(opCase.build(inputs), inputs, opCase.derivatives ?? 2);
    return described.all;
  });
  const { all, losses } = described as ReturnType<typeof differentiate>; // trace calls it
  const carriers = Object.values<Tensor>(graph.inputs);
  return {
    graph,
    specs,
    carriers,
    reference: new Reference(Object.values(all), carriers),
    losses,
    outputs: all,
  };
}

function drawFeeds(
  { specs }: Prepared,
  opCase: OpCase,
  sizes: Sizes,
  random: RandomStream,
): Map<string, Value> {
  const symbols = new Map(Object.entries(sizes));
  return new Map(
    Object.entries(specs).map(([name, { dtype, shape }]) => {
      const sides = shape.map((dim) => evaluateDim(typeof dim === "string" ? symbol(dim) : dim, symbols));
      const draw = opCase.draw?.[name] ?? defaultDraw[dtype];
      const entries = Array.from({ length: count(sides) }, (_, i) => draw(random, i));
      return [name, toValue(dtype, entries, sides)];
    }),
  );
}

type Results = ReadonlyMap<string, Nd>;

/** What one run of a prepared case gave. */
interface Run {
  readonly feeds: Results;
  readonly results: Results;
  readonly carriers: readonly Tensor[];
}

/** The reference's first gradients against central differences of each entry. */
function checkEntries({ loss, gradients }: Loss, { feeds, results, carriers }: Run): void {
  for (const [name, key] of gradients) {
    const value = results.get(key) as Nd; // every gradient is an output
    expectClose(value, numericGradient(loss, feeds, name, carriers), 1e-6, `reference ${key}`);
  }
}

/** The reference's gradients against a central difference along one random direction of all inputs. */
function checkDirection(
  { loss, gradients }: Loss,
  { feeds, results, carriers }: Run,
  random: RandomStream,
): void {
  const directions = new Map<string, Float64Array>();
  let slope = 0;
  let scale = 1;
  for (const [name, key] of gradients) {
    const gradient = results.get(key) as Nd; // every gradient is an output
    const direction = gradient.data.map(() => random.normal());
    directions.set(name, direction);
    gradient.data.forEach((g, i) => {
      slope += g * (direction[i] as number);
      scale += Math.abs(g * (direction[i] as number));
    });
  }
  const numeric = directionalDerivative(loss, feeds, directions, carriers);
  const label = `reference ${[...gradients.values()]}: ${slope}, central difference ${numeric}`;
  if (!(Math.abs(slope - numeric) / scale < 1e-6)) throw new Error(label);
}

export interface OpCheckerOptions {
  /** Compile for each assignment of sizes with numbers in place of symbols, so that no shape is computed. */
  readonly fixed?: boolean;
  /** Check the reference's gradients by central differences (default true); once is enough for several devices. */
  readonly differences?: boolean;
}

/** Checks cases on one device and remembers which ops the forward graphs held. */
export class OpChecker {
  readonly #device: Device;
  readonly #options: OpCheckerOptions;
  readonly covered = new Set<string>();

  constructor(device: Device, options: OpCheckerOptions = {}) {
    this.#device = device;
    this.#options = options;
  }

  /** Runs every assignment of sizes to the case's symbols with drawn values. */
  async check<N extends string>(opCase: OpCase<N>, sizes: readonly Sizes[] = [{}], seed = 1): Promise<void> {
    const general = opCase as unknown as OpCase; // names only matter to the caller
    const forward = general.build(placeholders(general.inputs));
    for (const node of topologicalOrder(Object.values(forward))) this.covered.add(node.op.name);
    const prepared = prepare(general, forward);
    const device = this.#device;
    using symbolic = this.#options.fixed ? undefined : await compile(prepared.graph, { device });
    for (const [i, assignment] of sizes.entries()) {
      const random = RandomStream.from(seed, `check/${i}`);
      const values = drawFeeds(prepared, general, assignment, random);
      const fixed = () => fixSizes(Object.entries(prepared.outputs), new Map(Object.entries(assignment)));
      using own = symbolic === undefined ? await compile(fixed(), { device }) : undefined;
      const program = symbolic ?? (own as Program); // one of them was compiled
      await this.#compare(prepared, program, values, `${JSON.stringify(assignment)}`, random, general);
    }
  }

  async #compare(
    prepared: Prepared,
    program: Program,
    values: ReadonlyMap<string, Value>,
    label: string,
    random: RandomStream,
    { tolerance = 2e-5 }: OpCase,
  ): Promise<void> {
    const feeds = new Map([...values].map(([name, value]) => [name, toNd(value)]));
    const expected = prepared.reference.run(feeds);
    const actual = await program.run(Object.fromEntries(values));
    const results = new Map(Object.keys(prepared.outputs).map((name, j) => [name, expected[j] as Nd]));
    for (const [name, want] of results)
      expectClose(actual[name] as Value, want, tolerance, `${name} at ${label}`);
    if (this.#options.differences === false) return;
    const run = { feeds, results, carriers: prepared.carriers };
    for (const item of prepared.losses) {
      if (item.second) checkDirection(item, run, random);
      else checkEntries(item, run);
    }
  }
}

/**
 * A compiled graph: named, shape-checked inputs in, named outputs out. Inference programs hold their weights packed;
 * training programs take them with every run. Dispose programs; they hold native memory.
 */
import { evaluateDim, shapeText } from "../tensor/dims.ts";
import { NextxError } from "../tensor/errors.ts";
import { reachableInputs } from "../tensor/graph.ts";
import { inputName, type Tensor } from "../tensor/tensor.ts";
import type { Device, Session } from "./device.ts";
import { peakBytes, tensorBytes } from "./memory.ts";
import { lowerToOnnx, symbolSources } from "./onnx.ts";
import type { Graph } from "./trace.ts";
import { allocate, elementCount, type Value, valueType } from "./values.ts";

export interface CompileOptions {
  readonly device: Device;
  /** Values of weights, by checkpoint name, to hold as constants; the others are fed with every run. */
  readonly weights?: ReadonlyMap<string, Value>;
  readonly prepack?: boolean;
  readonly arena?: boolean;
  readonly profile?: string;
}

/** Compiles a traced graph for a device. Errors: GRAPH_*, RUNTIME_FAILED. */
export async function compile<I extends string, O extends string>(
  graph: Graph<I, O>,
  options: CompileOptions,
): Promise<Program<I, O>> {
  const { device } = options;
  const model = lowerToOnnx(graph, device.provider, options.weights);
  const session = await device.createSession(model.bytes, {
    prepack: options.prepack ?? true,
    arena: options.arena ?? true,
    ...(options.profile !== undefined && { profile: options.profile }),
  });
  return new Program(graph, session, device, model.feeds, model.nodeCount);
}

export class Program<I extends string = string, O extends string = string> {
  readonly graph: Graph<I, O>;
  readonly nodeCount: number;
  readonly #session: Session;
  readonly #device: Device;
  readonly #feeds: ReadonlyMap<string, Tensor>;
  readonly #sources: ReadonlyMap<string, { input: string; axis: number }>;
  readonly #outputs: readonly (readonly [string, Tensor])[];
  /** Symbol values that passed the memory check. */
  readonly #checked = new Set<string>();

  constructor(
    graph: Graph<I, O>,
    session: Session,
    device: Device,
    feeds: ReadonlyMap<string, Tensor>,
    nodeCount: number,
  ) {
    this.graph = graph;
    this.nodeCount = nodeCount;
    this.#session = session;
    this.#device = device;
    this.#feeds = feeds;
    this.#sources = symbolSources([...Object.entries<Tensor>(graph.inputs), ...graph.weights]);
    this.#outputs = Object.entries<Tensor>(graph.outputs);
  }

  /**
   * Computes the outputs. Every declared input must be given; weights that were not compiled in come from `weights`.
   * Errors: PROGRAM_MISSING_INPUT, PROGRAM_BAD_INPUT (type, rank, or sizes that contradict), RUNTIME_OUT_OF_MEMORY,
   * RUNTIME_FAILED, RUNTIME_DISPOSED.
   */
  async run(
    inputs: Readonly<Record<I, Value>>,
    weights: ReadonlyMap<string, Value> = new Map(),
  ): Promise<Record<O, Value>> {
    const all = new Map<string, Value>([...weights, ...Object.entries<Value>(inputs)]);
    const symbols = this.#bind(all);
    const feeds = new Map<string, Value>();
    for (const [name, tensor] of this.#feeds) {
      const value = all.get(name);
      if (value === undefined)
        throw new NextxError("PROGRAM_MISSING_INPUT", `Input "${name}" was not given.`, { path: name });
      checkValue(name, tensor, value, symbols);
      feeds.set(name, value);
    }
    this.#checkMemory(symbols);
    return (await this.#compute(feeds, symbols)) as Record<O, Value>; // keyed by the graph's outputs
  }

  /** Bytes alive at the peak of a run with these sizes. */
  peakBytes(symbols: ReadonlyMap<string, number>): number {
    return peakBytes(
      this.#outputs.map(([, tensor]) => tensor),
      symbols,
    );
  }

  #bind(values: ReadonlyMap<string, Value>): Map<string, number> {
    const symbols = new Map<string, number>();
    for (const [name, { input, axis }] of this.#sources) {
      const size = values.get(input)?.shape[axis];
      if (size !== undefined) symbols.set(name, size);
    }
    return symbols;
  }

  #checkMemory(symbols: ReadonlyMap<string, number>): void {
    const key = [...symbols].join(";");
    if (this.#checked.has(key)) return;
    const [need, free] = [this.peakBytes(symbols), this.#device.availableMemoryBytes()];
    if (need > free) {
      throw new NextxError(
        "RUNTIME_OUT_OF_MEMORY",
        `This run needs about ${Math.ceil(need / 2 ** 20)} MiB, ${Math.floor(free / 2 ** 20)} MiB are free.`,
        { hint: "Use a smaller batch or picture." },
      );
    }
    this.#checked.add(key);
  }

  /** Empty results are answered here: some providers crash on them. */
  async #compute(
    feeds: ReadonlyMap<string, Value>,
    symbols: ReadonlyMap<string, number>,
  ): Promise<Record<string, Value>> {
    const wanted: (readonly [string, Tensor])[] = [];
    const result: Record<string, Value> = {};
    for (const [name, tensor] of this.#outputs) {
      const shape = tensor.shape.map((dim) => evaluateDim(dim, symbols));
      if (elementCount(shape) === 0) result[name] = { data: allocate(tensor.dtype, 0), shape };
      else wanted.push([name, tensor]);
    }
    if (wanted.length > 0) Object.assign(result, await this.#session.run(feeds, wanted));
    return result;
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

function checkValue(name: string, tensor: Tensor, value: Value, symbols: ReadonlyMap<string, number>): void {
  const fail = (what: string): never => {
    throw new NextxError("PROGRAM_BAD_INPUT", `Input "${name}" ${what}.`, { path: name });
  };
  if (valueType(value) !== tensor.dtype) fail(`must be ${tensor.dtype}, got ${valueType(value)}`);
  const expected = tensor.shape.map((dim) => evaluateDim(dim, symbols));
  if (expected.length !== value.shape.length || expected.some((side, i) => side !== value.shape[i])) {
    fail(`must have shape ${shapeText(tensor.shape)} = [${expected}], got [${value.shape}]`);
  }
  if (elementCount(expected) !== value.data.length) {
    fail(`has ${value.data.length} elements, its shape [${expected}] needs ${elementCount(expected)}`);
  }
}

/** Bytes of the weights a graph uses. */
export function weightBytes(graph: Graph): number {
  const none = new Map<string, number>();
  return [...graph.weights.values()].reduce((total, tensor) => total + tensorBytes(tensor, none), 0);
}

/** The graph's `.onnx` file with the given weights inside, for any ONNX runtime (CPU kernels). */
export function exportOnnx(graph: Graph, weights: ReadonlyMap<string, Value>): Uint8Array<ArrayBuffer> {
  return lowerToOnnx(graph, "cpu", weights).bytes;
}

/** Names of every input and weight of a set of outputs, for error messages and manifests. */
export function inputNames(outputs: readonly Tensor[]): string[] {
  return [...reachableInputs(outputs).values()].map((tensor) => inputName(tensor) ?? "");
}

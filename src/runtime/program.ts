/**
 * A compiled graph: named, shape-checked inputs in, named outputs out. Inference programs hold their weights packed;
 * training programs take them with every run. Dispose programs; they hold native memory.
 */
import { type Dim, dimSymbols, evaluateDim, shapeText } from "../tensor/dims.ts";
import { NextxError } from "../tensor/errors.ts";
import { topologicalOrder } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Device, Session } from "./device.ts";
import { withEnlargedConvolutions } from "./enlargedConvolutions.ts";
import { computesOnEmpty, fixSizes } from "./fixedSizes.ts";
import { JoinedOutputs } from "./joinedOutputs.ts";
import { peakBytes, tensorBytes } from "./memory.ts";
import { lowerToOnnx, type OnnxModel, symbolSources, type WeightSource } from "./onnx.ts";
import { withQuantisedLayers } from "./quantised.ts";
import type { Graph } from "./trace.ts";
import { allocate, DeviceValue, dataType, elementCount, isFileBacked, type Value } from "./values.ts";

export interface CompileOptions {
  readonly device: Device;
  /** Values of weights, by checkpoint name, to hold as constants; the others are fed with every run. */
  readonly weights?: ReadonlyMap<string, Value>;
  readonly prepack?: boolean;
  readonly arena?: boolean;
  /**
   * Outputs that only go into later runs: on WebGPU they stay on the device as `DeviceValue`s, elsewhere they are values
   * like all others.
   */
  readonly kept?: readonly string[];
  readonly profile?: string;
}

/** Compiles a traced graph for a device, with integer layers where weights are quantised. Errors: GRAPH_*, RUNTIME_FAILED, FILE_*. */
export async function compile<I extends string, O extends string>(
  graph: Graph<I, O>,
  options: CompileOptions,
): Promise<Program<I, O>> {
  const { device, weights = new Map() } = options;
  // what is prepared keeps the outputs that were asked for
  const prepared = (device.prepare?.(graph, weights) ?? graph) as Graph<I, O>;
  const added = Object.keys(prepared.outputs).filter((name) => !Object.hasOwn(graph.outputs, name));
  const integer = withQuantisedLayers(prepared, weights, device.weightBits);
  const isProcessor = device.provider === "cpu" || device.provider === "wasm";
  return build(isProcessor ? withEnlargedConvolutions(integer, weights) : integer, options, new Set(added));
}

async function build<I extends string, O extends string>(
  graph: Graph<I, O>,
  options: CompileOptions,
  watched: ReadonlySet<string> = new Set(),
): Promise<Program<I, O>> {
  const { device } = options;
  const apart = new Set([...watched, ...(options.kept ?? [])]);
  const joined = device.joinsOutputs ? JoinedOutputs.of(graph, apart) : undefined;
  const { folder, ...model } = lowered(joined?.join(graph) ?? graph, options);
  checkSymbols(graph, model.feeds);
  const session = await device.createSession(model.bytes, {
    ...(folder !== undefined && { folder }),
    ...(model.parts.length > 0 && { parts: model.parts }),
    prepack: options.prepack ?? true,
    arena: options.arena ?? true,
    ...(options.kept && { kept: options.kept.flatMap((name) => model.outputs.get(name) ?? []) }),
    ...(options.profile !== undefined && { profile: options.profile }),
  });
  return new Program(graph, session, options, model, { watched, joined });
}

/** The model, and the folder of the files that it calls. The runtime takes files or parts, not both. */
function lowered(graph: Graph, options: CompileOptions): OnnxModel & { readonly folder?: string } {
  const { provider, maxInside } = options.device;
  const { weights, folder } = weightSources(options);
  const model = lowerToOnnx(graph, provider, weights, maxInside);
  if (folder === undefined) return model;
  if (model.parts.length === 0) return { ...model, folder };
  return lowerToOnnx(graph, provider, options.weights, maxInside);
}

/** Smaller weights are written into the model. */
const smallestInFile = 4096;

/** Weights for a device: those that it reads from their file itself, all of one folder, and the others. */
function weightSources({ device, weights = new Map() }: CompileOptions): {
  readonly weights: ReadonlyMap<string, WeightSource>;
  readonly folder: string | undefined;
} {
  const inFiles = device.opensFiles ? [...weights.values()].filter(isFileBacked) : [];
  const folder = inFiles[0]?.source.folder;
  if (folder === undefined) return { weights, folder };
  for (const value of new Map(inFiles.map((value) => [value.source.name, value])).values())
    value.requireSame();
  const sources = [...weights].map(([name, value]): [string, WeightSource] => {
    const isOutside =
      isFileBacked(value) && value.source.folder === folder && value.source.sizeBytes >= smallestInFile;
    return [name, isOutside ? { shape: value.shape, file: value.source } : value];
  });
  return { weights: new Map(sources), folder };
}

/** Every symbol of the graph must be a side of some input, so that a run can know its value. */
function checkSymbols(graph: Graph, feeds: ReadonlyMap<string, Tensor>): void {
  const known = symbolSources([...feeds, ...Object.entries(graph.inputs), ...graph.weights]);
  for (const node of topologicalOrder([...Object.values(graph.outputs), ...feeds.values()])) {
    const lost = node.shape.flatMap(dimSymbols).find((name) => !known.has(name));
    if (lost !== undefined) {
      throw new NextxError(
        "GRAPH_UNBOUND_DIM",
        `No input has "${lost}" as a side; a ${node.op.name} needs it.`,
      );
    }
  }
}

export class Program<I extends string = string, O extends string = string> {
  readonly graph: Graph<I, O>;
  readonly nodeCount: number;
  readonly #session: Session;
  readonly #options: CompileOptions;
  readonly #feeds: ReadonlyMap<string, Tensor>;
  readonly #sources: ReadonlyMap<string, { input: string; axis: number }>;
  readonly #outputs: readonly (readonly [string, Tensor])[];
  readonly #outputNames: ReadonlyMap<string, string>;
  /** Outputs that a device's `prepare` added: it sees them at every run. */
  readonly #watched: ReadonlySet<string>;
  readonly #joined: JoinedOutputs | undefined;
  readonly #bounds: readonly Bound[];
  /** Symbol values that passed the checks of sizes and memory; programs of their own for those with empty tensors. */
  readonly #checked = new Map<string, Promise<Program> | undefined>();
  #disposed = false;

  constructor(
    graph: Graph<I, O>,
    session: Session,
    options: CompileOptions,
    model: Pick<OnnxModel, "feeds" | "outputs" | "nodeCount">,
    {
      watched,
      joined,
    }: { readonly watched: ReadonlySet<string>; readonly joined: JoinedOutputs | undefined },
  ) {
    const { feeds } = model;
    this.graph = graph;
    this.nodeCount = model.nodeCount;
    this.#session = session;
    this.#watched = watched;
    this.#joined = joined;
    this.#options = options;
    this.#feeds = feeds;
    this.#outputNames = model.outputs;
    this.#sources = symbolSources([...feeds, ...Object.entries<Tensor>(graph.inputs), ...graph.weights]);
    this.#outputs = Object.entries<Tensor>(graph.outputs);
    this.#bounds = collectBounds(this.#outputs.map(([, tensor]) => tensor));
  }

  /**
   * Computes the outputs, or those of `only`: what leaves is copied, which is no small part of a large cache's time. Every
   * input and weight that the outputs need must be given, weights that were not compiled in by `weights`.
   * Errors: PROGRAM_MISSING_INPUT, PROGRAM_BAD_INPUT (type, rank, or sizes that contradict), RUNTIME_OUT_OF_MEMORY,
   * RUNTIME_FAILED, RUNTIME_DISPOSED.
   */
  async run<Wanted extends O = O>(
    inputs: Readonly<Record<I, Value>>,
    weights: ReadonlyMap<string, Value> = new Map(),
    only?: readonly Wanted[],
  ): Promise<Record<Wanted, Value>> {
    if (this.#disposed) throw new NextxError("RUNTIME_DISPOSED", "The program was disposed.");
    const all = new Map<string, Value>([...weights, ...Object.entries<Value>(inputs)]);
    const feeds = new Map<string, Value>();
    for (const [name, tensor] of this.#feeds) {
      const value = all.get(name);
      if (value === undefined) {
        throw new NextxError("PROGRAM_MISSING_INPUT", `Input "${name}" was not given.`, { path: name });
      }
      checkForm(name, tensor, value);
      feeds.set(name, value);
    }
    const symbols = this.#bind(all);
    for (const [name, value] of feeds) checkSizes(name, this.#feeds.get(name) as Tensor, value, symbols); // its keys
    const withoutEmpties = await this.#checkRun(symbols);
    const isWanted = (name: string) => !only || only.includes(name as Wanted) || this.#watched.has(name); // keyed by O
    const outputs = this.#outputs.filter(([name]) => isWanted(name));
    return (await this.#compute(outputs, feeds, symbols, withoutEmpties)) as Record<Wanted, Value>; // those names
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

  /**
   * Sizes that no axis can have and peaks that do not fit, once per assignment of the symbols. Gives the program that
   * computes instead when these sizes hand empty tensors to kernels.
   */
  #checkRun(symbols: ReadonlyMap<string, number>): Promise<Program> | undefined {
    const key = [...symbols].join(";");
    if (this.#checked.has(key)) return this.#checked.get(key);
    for (const { dim, op } of this.#bounds) {
      const size = evaluateDim(dim, symbols);
      if (size >= 0) continue;
      const sizes = [...symbols].map(([name, value]) => `${name} = ${value}`).join(", ");
      throw new NextxError("PROGRAM_BAD_INPUT", `With ${sizes} a ${op} needs ${dim} = ${size} elements.`);
    }
    const [need, free] = [this.peakBytes(symbols), this.#options.device.availableMemoryBytes()];
    if (need > free) {
      throw new NextxError(
        "RUNTIME_OUT_OF_MEMORY",
        `This run needs about ${Math.ceil(need / 2 ** 20)} MiB, ${Math.floor(free / 2 ** 20)} MiB are free.`,
        { hint: "Use a smaller batch or picture." },
      );
    }
    this.#checkLargest(symbols);
    const program = this.#withoutEmpties(symbols);
    this.#checked.set(key, program);
    program?.catch(() => this.#checked.delete(key)); // what failed, such as for want of memory, may succeed later
    return program;
  }

  #checkLargest(symbols: ReadonlyMap<string, number>): void {
    const limit = this.#options.device.maxTensorBytes;
    if (limit === undefined) return;
    for (const node of topologicalOrder(this.#outputs.map(([, tensor]) => tensor))) {
      const bytes = tensorBytes(node, symbols);
      if (bytes <= limit) continue;
      const shape = node.shape.map((dim) => evaluateDim(dim, symbols));
      throw new NextxError(
        "RUNTIME_OUT_OF_MEMORY",
        `A ${node.op.name} of shape [${shape}] takes ${bytes} bytes; one tensor has at most ${limit} here.`,
        { hint: "Use a smaller batch or picture." },
      );
    }
  }

  #withoutEmpties(symbols: ReadonlyMap<string, number>): Promise<Program> | undefined {
    const filled = this.#outputs.filter(([, { shape }]) =>
      shape.every((dim) => evaluateDim(dim, symbols) > 0),
    );
    if (
      filled.length === 0 ||
      !computesOnEmpty(
        this.#outputs.map(([, tensor]) => tensor),
        symbols,
      )
    )
      return undefined;
    return build(fixSizes(filled, symbols), this.#options);
  }

  /** Empty results are answered here: some providers crash on them. */
  async #compute(
    outputs: readonly (readonly [string, Tensor])[],
    feeds: ReadonlyMap<string, Value>,
    symbols: ReadonlyMap<string, number>,
    withoutEmpties: Program | undefined,
  ): Promise<Record<string, Value>> {
    const wanted: (readonly [string, Tensor])[] = [];
    const result: Record<string, Value> = {};
    for (const [name, tensor] of outputs) {
      const shape = tensor.shape.map((dim) => evaluateDim(dim, symbols));
      if (elementCount(shape) === 0) result[name] = { data: allocate(tensor.dtype, 0), shape };
      else wanted.push([name, tensor]);
    }
    if (wanted.length === 0) return result;
    if (withoutEmpties !== undefined) {
      const names = wanted.map(([name]) => name);
      return { ...result, ...(await withoutEmpties.run(Object.fromEntries(feeds), new Map(), names)) };
    }
    const asked = this.#joined?.asked(wanted) ?? wanted;
    const inside = asked.map(([name, tensor]) => [this.#outputNames.get(name) ?? name, tensor] as const);
    const computed = await this.#session.run(feeds, inside);
    const answers: Record<string, Value> = {};
    for (const [i, [name]] of asked.entries()) {
      answers[name] = computed[inside[i]?.[0] ?? name] as Value; // asked for by this name
    }
    const values = this.#joined?.split(answers) ?? answers;
    for (const [name] of wanted) result[name] = values[name] as Value; // asked for, alone or joined
    return result;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#session[Symbol.dispose]();
    for (const program of this.#checked.values()) {
      program?.then(
        (made) => made[Symbol.dispose](),
        () => undefined,
      );
    }
    this.#checked.clear();
  }
}

interface Bound {
  readonly dim: Dim;
  readonly op: string;
}

/** Symbolic sizes that a run must check: no side, slice or padding may be negative. */
function collectBounds(outputs: readonly Tensor[]): Bound[] {
  const bounds = new Map<string, Bound>();
  for (const node of topologicalOrder(outputs)) {
    for (const dim of [...node.shape, ...(node.op.bounds?.(node) ?? [])]) {
      const mayBeNegative =
        typeof dim !== "number" && [...dim.terms.values()].some((coefficient) => coefficient < 0);
      if (mayBeNegative && !bounds.has(String(dim))) bounds.set(String(dim), { dim, op: node.op.name });
    }
  }
  return [...bounds.values()];
}

function badInput(name: string, what: string): NextxError {
  return new NextxError("PROGRAM_BAD_INPUT", `Input "${name}" ${what}.`, { path: name });
}

/** Type, rank, and as many elements as the shape says. */
function checkForm(name: string, tensor: Tensor, value: Value): void {
  const got = value instanceof DeviceValue ? value.dtype : dataType(value.data);
  if (got !== tensor.dtype) throw badInput(name, `must be ${tensor.dtype}, got ${got ?? "another array"}`);
  const { shape } = value;
  if (
    shape.length !== tensor.shape.length ||
    !shape.every((side) => Number.isSafeInteger(side) && side >= 0)
  ) {
    throw badInput(name, `must have shape ${shapeText(tensor.shape)}, got [${shape}]`);
  }
  if (!(value instanceof DeviceValue) && elementCount(shape) !== value.data.length) {
    throw badInput(
      name,
      `has ${value.data.length} elements, its shape [${shape}] needs ${elementCount(shape)}`,
    );
  }
}

/** The sizes that the symbols have everywhere else. */
function checkSizes(name: string, tensor: Tensor, value: Value, symbols: ReadonlyMap<string, number>): void {
  const expected = tensor.shape.map((dim) => evaluateDim(dim, symbols));
  if (expected.some((side, i) => side !== value.shape[i])) {
    throw badInput(name, `must have shape ${shapeText(tensor.shape)} = [${expected}], got [${value.shape}]`);
  }
}

/** Bytes of the weights a graph uses. */
export function weightBytes(graph: Graph): number {
  const none = new Map<string, number>();
  return [...graph.weights.values()].reduce((total, tensor) => total + tensorBytes(tensor, none), 0);
}

/**
 * The graph's `.onnx` file with the given weights inside, for any ONNX runtime (CPU kernels).
 * An output named like an input or weight is called `<name>.out` there.
 */
export function exportOnnx(graph: Graph, weights: ReadonlyMap<string, Value>): Uint8Array<ArrayBuffer> {
  return lowerToOnnx(withQuantisedLayers(graph, weights), "cpu", weights).bytes;
}

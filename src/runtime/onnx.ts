/**
 * Lowers a graph to the bytes of an ONNX model (opset 21 plus com.microsoft kernels where the provider has them).
 * Weights with values become initialisers, the others stay graph inputs. Shapes are computed in the graph from the
 * inputs that carry each symbol, so one model serves every length.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { type Dim, dimSymbols, type Shape, shapeText } from "../tensor/dims.ts";
import { invariant, NextxError } from "../tensor/errors.ts";
import { topologicalOrder } from "../tensor/graph.ts";
import {
  type DType,
  type Emitter,
  inputName,
  type OnnxAttributes,
  type Provider,
  type Tensor,
} from "../tensor/tensor.ts";
import type { Graph } from "./trace.ts";
import { elementCount, type FileRange, storedBytes, type Value, valueType } from "./values.ts";

export const OPSET = 21;
const IR_VERSION = 10n;
const MAX_MODEL_BYTES = 2 ** 31 - 1;
/** Smaller constants never leave the model: the runtime looks at shapes and scalars before it opens files. */
const smallestApart = 4096;
/** Starts the names of values inside a model; names of inputs, weights and outputs are the user's. */
const INTERNAL = "nextx:";
const ELEMENT = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const;

function attribute(name: string, value: OnnxAttributes[string]): AttributeProto {
  if (typeof value === "string") {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  }
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if ("float" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

function bytesOf(data: ArrayBufferView): Uint8Array<ArrayBuffer> {
  // nextx never makes shared buffers
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

/** A constant beside the model that it belongs to. */
export interface ModelPart {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A float32 weight that stays in a file beside the model, there perhaps in 16 bits; bounds are the caller's to check. */
export interface ExternalWeight {
  readonly shape: readonly number[];
  readonly file: Omit<FileRange, "folder">;
}

/** What a weight is bound to. */
export type WeightSource = Value | ExternalWeight;

function inFile({ name, offset, sizeBytes }: Omit<FileRange, "folder" | "stored">) {
  const entries = { location: name, offset: String(offset), length: String(sizeBytes) };
  return {
    dataLocation: DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    ),
  };
}

const externalProto = (name: string, { shape, file }: ExternalWeight): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dataType: ELEMENT[file.stored],
    dims: shape.map(BigInt),
    ...inFile(file),
  });

function tensorProto(
  name: string,
  type: keyof typeof ELEMENT,
  shape: readonly number[],
  data: ArrayBufferView,
): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType: ELEMENT[type],
    dims: shape.map(BigInt),
    rawData: bytesOf(data),
  });
}

function valueInfo(name: string, dtype: DType, shape: Shape): ValueInfoProto {
  const dim = shape.map((side) => ({
    value:
      typeof side === "number"
        ? { case: "dimValue" as const, value: BigInt(side) }
        : { case: "dimParam" as const, value: side.toString() },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: "tensorType", value: { elemType: ELEMENT[dtype], shape: { dim } } } },
  });
}

/** Collects nodes and constants of one model. */
class ModelWriter implements Emitter {
  readonly provider: Provider;
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly #constants = new Map<string, string>();
  readonly #symbols: ReadonlyMap<string, { input: string; axis: number }>;
  readonly #dims = new Map<string, string>();
  /** Inputs that a symbol was read from. */
  readonly carriers = new Set<string>();

  constructor(provider: Provider, symbols: ReadonlyMap<string, { input: string; axis: number }>) {
    this.provider = provider;
    this.#symbols = symbols;
  }

  node(opType: string, inputs: readonly string[], attributes: OnnxAttributes = {}, domain = ""): string {
    const name = `${INTERNAL}v${this.nodes.length}`;
    this.nodes.push(
      create(NodeProtoSchema, {
        name: `${opType}_${this.nodes.length}`,
        opType,
        domain,
        input: [...inputs],
        output: [name],
        attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
      }),
    );
    return name;
  }

  nodeOutput(
    output: number,
    opType: string,
    inputs: readonly string[],
    attributes: OnnxAttributes = {},
  ): string {
    const first = this.node(opType, inputs, attributes);
    const names = Array.from({ length: output }, (_, i) => `${first}_${i + 1}`);
    this.nodes.at(-1)?.output.push(...names);
    return names.at(-1) ?? first;
  }

  /**
   * Gives values the names of the outputs that they are. What a node makes is called so from the start; what is an input, a
   * constant or an output already is copied. Gives the number of copies.
   */
  nameOutputs(outputs: readonly (readonly [value: string, name: string])[]): number {
    const made = new Set(this.nodes.flatMap(({ output }) => output));
    const names = new Map<string, string>();
    const copied = outputs.filter(([value, name]) => {
      if (!made.has(value) || names.has(value)) return true;
      names.set(value, name);
      return false;
    });
    const renamed = (value: string) => names.get(value) ?? value;
    for (const node of this.nodes) {
      node.input = node.input.map(renamed);
      node.output = node.output.map(renamed);
    }
    for (const [value, name] of copied) {
      const io = { input: [renamed(value)], output: [name] };
      this.nodes.push(create(NodeProtoSchema, { name: `output_${name}`, opType: "Identity", ...io }));
    }
    return copied.length;
  }

  #constant(
    type: keyof typeof ELEMENT,
    shape: readonly number[],
    data: ArrayBufferView & ArrayLike<unknown>,
  ): string {
    const key =
      data.length <= 16
        ? `${type}[${shape}]${Array.from(data).map((v) => (Object.is(v, -0) ? "-0" : v))}`
        : "";
    const known = key === "" ? undefined : this.#constants.get(key);
    if (known !== undefined) return known;
    const name = `${INTERNAL}c${this.initializers.length}`;
    this.initializers.push(tensorProto(name, type, shape, data));
    if (key !== "") this.#constants.set(key, name);
    return name;
  }

  int64(values: readonly number[]): string {
    return this.#constant("int64", [values.length], BigInt64Array.from(values.map(BigInt)));
  }

  float(value: number): string {
    return this.#constant("float32", [], Float32Array.of(value));
  }

  floats(data: Float32Array, shape: readonly number[]): string {
    return this.#constant("float32", shape, data);
  }

  int32s(data: Int32Array, shape: readonly number[]): string {
    return this.#constant("int32", shape, data);
  }

  int8s(data: Int8Array, shape: readonly number[]): string {
    return this.#constant("int8", shape, data);
  }

  uint8s(data: Uint8Array, shape: readonly number[]): string {
    return this.#constant("uint8", shape, data);
  }

  /** Bytes of what lies in the model. */
  constantBytes(): number {
    return this.initializers.reduce((total, { rawData }) => total + rawData.byteLength, 0);
  }

  /** Puts the large constants beside the model, as files that bear their names. */
  takeOut(): ModelPart[] {
    return this.initializers.flatMap((tensor) => {
      const { name, rawData: bytes } = tensor;
      if (bytes.byteLength < smallestApart) return [];
      const file = { name, offset: 0, sizeBytes: bytes.byteLength };
      Object.assign(tensor, { rawData: new Uint8Array(0), ...inFile(file) });
      return [{ name, bytes }];
    });
  }

  /** A weight that the runtime reads from its file. It widens 16 bits once, when it makes its session. */
  inFile(name: string, weight: ExternalWeight): string {
    this.initializers.push(externalProto(name, weight));
    return weight.file.stored === "float32" ? name : this.node("Cast", [name], { to: ELEMENT.float32 });
  }

  dims(shape: Shape): string {
    if (shape.every((dim) => typeof dim === "number")) return this.int64(shape as readonly number[]); // just checked
    const parts = shape.map((dim) => this.#dim(dim));
    return parts.length === 1
      ? (parts[0] as string)
      : this.#shared(`concat ${parts}`, () => this.node("Concat", parts, { axis: 0 }));
  }

  #shared(key: string, make: () => string): string {
    const known = this.#dims.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.#dims.set(key, name);
    return name;
  }

  /** A dim as an int64 vector of one element. */
  #dim(dim: Dim): string {
    if (typeof dim === "number") return this.int64([dim]);
    return this.#shared(dim.toString(), () => {
      const sums = [...dim.terms].map(([monomial, coefficient]) => {
        const factors = (monomial === "" ? [] : monomial.split("*")).map((name) => this.#symbol(name));
        if (coefficient !== 1 || factors.length === 0) factors.unshift(this.int64([coefficient]));
        return factors.reduce((a, b) => this.node("Mul", [a, b]));
      });
      return sums.reduce((a, b) => this.node("Add", [a, b]));
    });
  }

  #symbol(name: string): string {
    const source = this.#symbols.get(name);
    if (source === undefined) {
      throw new NextxError("GRAPH_UNBOUND_DIM", `No input of the graph carries the dimension "${name}".`);
    }
    this.carriers.add(source.input);
    return this.#shared(`symbol ${name}`, () =>
      this.node("Shape", [source.input], { start: source.axis, end: source.axis + 1 }),
    );
  }
}

/** Which input axis each symbol can be read from. */
export function symbolSources(
  inputs: Iterable<readonly [string, Tensor]>,
): Map<string, { input: string; axis: number }> {
  const sources = new Map<string, { input: string; axis: number }>();
  for (const [name, tensor] of inputs) {
    tensor.shape.forEach((dim, axis) => {
      const symbols = dimSymbols(dim);
      if (
        typeof dim !== "number" &&
        symbols.length === 1 &&
        dim.toString() === symbols[0] &&
        !sources.has(dim.toString())
      ) {
        sources.set(dim.toString(), { input: name, axis });
      }
    });
  }
  return sources;
}

/** A model ready for a session or a file. */
export interface OnnxModel {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Constants that do not lie in `bytes`, which call them files. */
  readonly parts: readonly ModelPart[];
  /** Names that must be fed: declared inputs that are used, and weights without values. */
  readonly feeds: ReadonlyMap<string, Tensor>;
  /** The model's name of each output: its own, or with `.out` behind it when an input or weight has that name. */
  readonly outputs: ReadonlyMap<string, string>;
  readonly nodeCount: number;
}

/**
 * Lowers a graph. `weights` gives values that become initialisers, inside or in a file; weights missing there stay inputs.
 * Constants of more than `maxInside` bytes in all lie beside the model, not in it.
 * Errors: GRAPH_WEIGHT_SHAPE (shape, dtype or length), GRAPH_UNBOUND_DIM, GRAPH_TOO_LARGE (2 GiB limit of the format).
 */
export function lowerToOnnx(
  graph: Graph,
  provider: Provider,
  weights: ReadonlyMap<string, WeightSource> = new Map(),
  maxInside = Number.POSITIVE_INFINITY,
): OnnxModel {
  const outputs = Object.entries(graph.outputs);
  const order = topologicalOrder(outputs.map(([, tensor]) => tensor));
  const feeds = new Map<string, Tensor>();
  for (const node of order) {
    const name = inputName(node);
    if (name !== undefined && !weights.has(name)) feeds.set(name, node);
  }
  // Declared inputs carry symbols even when no value of theirs is used.
  const declared = Object.entries<Tensor>(graph.inputs).filter(([name]) => !weights.has(name));
  const writer = new ModelWriter(provider, symbolSources([...feeds, ...declared]));
  const names = new Map<Tensor, string>();
  for (const node of order) names.set(node, lowerNode(writer, node, names, weights));
  for (const [name, tensor] of declared) if (writer.carriers.has(name)) feeds.set(name, tensor);
  const taken = new Set([...feeds.keys(), ...order.flatMap((node) => inputName(node) ?? [])]);
  const results = outputNames(Object.keys(graph.outputs), taken);
  const copies = writer.nameOutputs(
    outputs.map(([name, tensor]) => {
      const value = names.get(tensor);
      invariant(value !== undefined, "Every output was lowered.");
      return [value, results.get(name) as string] as const; // named just now
    }),
  );
  const named = outputs.map(([name, tensor]) => [results.get(name) ?? name, tensor] as const);
  const parts = writer.constantBytes() > maxInside ? writer.takeOut() : [];
  return {
    parts,
    bytes: modelBytes(writer, [...feeds], named),
    feeds,
    outputs: results,
    nodeCount: writer.nodes.length - copies,
  };
}

type Named = readonly (readonly [string, Tensor])[];

function modelBytes(writer: ModelWriter, inputs: Named, outputs: Named): Uint8Array<ArrayBuffer> {
  const size = writer.constantBytes();
  if (size > MAX_MODEL_BYTES) {
    throw new NextxError(
      "GRAPH_TOO_LARGE",
      `The model has ${size} bytes of constants; an ONNX file holds at most 2 GiB.`,
      {
        hint: "Use --device cpu, which takes more, or quantise the file: nextx quantize FILE --to int8.",
      },
    );
  }
  const info = ([name, { dtype, shape }]: Named[number]): ValueInfoProto => valueInfo(name, dtype, shape);
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "nextx",
    opsetImport: [
      { domain: "", version: BigInt(OPSET) },
      { domain: "com.microsoft", version: 1n },
    ],
    graph: create(GraphProtoSchema, {
      name: "nextx",
      node: writer.nodes,
      initializer: writer.initializers,
      input: inputs.map(info),
      output: outputs.map(info),
    }),
  });
  return toBinary(ModelProtoSchema, model) as Uint8Array<ArrayBuffer>; // a fresh buffer
}

function outputNames(names: readonly string[], taken: ReadonlySet<string>): Map<string, string> {
  const used = new Set([...taken, ...names]);
  return new Map(
    names.map((name) => {
      let unique = name;
      if (taken.has(name)) while (used.has(unique)) unique += ".out";
      used.add(unique);
      return [name, unique];
    }),
  );
}

function lowerNode(
  writer: ModelWriter,
  node: Tensor,
  names: Map<Tensor, string>,
  weights: ReadonlyMap<string, WeightSource>,
): string {
  const name = inputName(node);
  if (name === undefined) {
    return node.op.lower(
      writer,
      node,
      node.inputs.map((x) => names.get(x) ?? ""),
    );
  }
  const bound = weights.get(name);
  if (bound === undefined) return name;
  const value = "file" in bound ? bound : { data: bound.data, shape: bound.shape }; // quantised data are made when asked for
  checkWeight(name, node, value);
  if ("file" in value) return writer.inFile(name, value);
  writer.initializers.push(tensorProto(name, node.dtype, value.shape, value.data));
  return name;
}

function checkWeight(name: string, node: Tensor, value: WeightSource): void {
  const fail = (what: string, needs: string): never => {
    throw new NextxError("GRAPH_WEIGHT_SHAPE", `Weight ${what}, the model needs ${needs}.`, { path: name });
  };
  const fits =
    value.shape.length === node.shape.length && value.shape.every((side, i) => side === node.shape[i]);
  if (!fits) fail(`has shape [${value.shape}]`, shapeText(node.shape));
  const count = elementCount(value.shape);
  if ("file" in value) {
    if (node.dtype !== "float32") fail("is float32", node.dtype);
    const bytes = storedBytes[value.file.stored] * count;
    if (value.file.sizeBytes !== bytes) fail(`has ${value.file.sizeBytes} bytes`, `${bytes}`);
    return;
  }
  if (valueType(value) !== node.dtype) fail(`is ${valueType(value)}`, node.dtype);
  if (value.data.length !== count) fail(`has ${value.data.length} elements`, `${count}`);
}

/**
 * Any feature network as an ONNX file that the user gives, for example Inception-v3 up to its last pool. One float input
 * [N, 3, H, W]; the features are an output [N, D] or [N, D, 1, 1]. The file is foreign: its names and shapes are read and
 * checked before a session is made.
 */
import { basename } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type ValueInfoProto } from "onnx-buf";
import { sha256Hex } from "../../formats/durable.node.ts";
import type { Device, Session } from "../../runtime/device.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { float32, input } from "../../tensor/tensor.ts";
import type { FeatureSet } from "../featureSet.ts";
import { readWhole } from "./foreign.node.ts";
import { extractInBatches } from "./network.ts";
import { triangleMatrix } from "./pictures.ts";
import type { Extracted, FeatureExtractor, Pictures } from "./types.ts";

export interface OnnxFileOptions {
  readonly device: Device;
  /** Which output holds the features; the first of a fitting shape when absent. */
  readonly output?: string;
  /** Side of the input; that of the file when it says one, else 299. */
  readonly inputSize?: number;
  /** Values 0 to 255 become (v - mean) / scale; 127.5 and 127.5 (that is [-1, 1]) when absent. */
  readonly mean?: number;
  readonly scale?: number;
}

interface Signature {
  readonly input: string;
  readonly output: string;
  readonly inputSize: number;
  readonly dims: number;
}

/** Sides of a declared tensor; -1 where the file leaves one open; undefined when it is no float32 tensor. */
function sidesOf({ type }: ValueInfoProto): number[] | undefined {
  if (type?.value.case !== "tensorType" || type.value.value.elemType !== 1) return undefined;
  return type.value.value.shape?.dim.map(({ value }) =>
    value.case === "dimValue" ? Number(value.value) : -1,
  );
}

function signatureOf(bytes: Uint8Array, path: string, options: OnnxFileOptions): Signature {
  const bad = (what: string, cause?: unknown) =>
    new NextxError("FEATURES_BAD_ONNX", `${path} ${what}.`, {
      path,
      hint: "Export a network with one input [N, 3, H, W] and an output [N, D].",
      ...(cause !== undefined && { cause }),
    });
  let graph: ReturnType<typeof fromBinary<typeof ModelProtoSchema>>["graph"];
  try {
    graph = fromBinary(ModelProtoSchema, bytes).graph;
  } catch (cause) {
    throw bad("is no ONNX model", cause);
  }
  if (graph === undefined) throw bad("holds no graph");
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const inputs = graph.input.filter(({ name }) => !weights.has(name));
  const [first] = inputs;
  const sides = first && sidesOf(first);
  if (inputs.length !== 1 || !first || sides?.length !== 4 || (sides[1] !== 3 && sides[1] !== -1))
    throw bad("has not one float32 input [N, 3, H, W]");
  const fitting = graph.output.flatMap(({ name, ...rest }) => {
    const shape = sidesOf({ name, ...rest });
    const flat = shape?.length === 2 || (shape?.length === 4 && shape[2] === 1 && shape[3] === 1);
    return flat && (shape[1] ?? 0) > 0 ? [{ name, dims: shape[1] as number }] : []; // rank checked
  });
  const found = fitting.find(({ name }) => options.output === undefined || name === options.output);
  if (!found) throw bad(`has no output ${options.output ?? ""} of a fixed width [N, D]`);
  const declared = sides[2] === sides[3] && (sides[2] ?? -1) > 0 ? sides[2] : undefined;
  if (declared !== undefined && options.inputSize !== undefined && declared !== options.inputSize)
    throw bad(`takes ${declared} px, not ${options.inputSize}`);
  return {
    input: first.name,
    output: found.name,
    inputSize: declared ?? options.inputSize ?? 299,
    dims: found.dims,
  };
}

/** Pictures [n, 3, S, S] as [n, 3, T, T] on the host, each value (v - mean) / scale. */
function prepare({ data, shape }: Value, to: number, mean: number, scale: number): Value {
  const [n = 0, , from = 1] = shape;
  const matrix = triangleMatrix(from, to);
  const out = new Float32Array(n * 3 * to * to);
  const wide = new Float64Array(from * to);
  for (let plane = 0; plane < n * 3; plane++) {
    for (let i = 0; i < from * to; i++) {
      const [row, x] = [Math.floor(i / to), i % to];
      let sum = 0;
      for (let k = 0; k < from; k++)
        sum += (matrix[x * from + k] as number) * (data[(plane * from + row) * from + k] as number); // in range
      wide[i] = sum;
    }
    for (let i = 0; i < to * to; i++) {
      const [y, x] = [Math.floor(i / to), i % to];
      let sum = 0;
      for (let k = 0; k < from; k++) sum += (matrix[y * from + k] as number) * (wide[k * to + x] as number); // in range
      out[plane * to * to + i] = (sum - mean) / scale;
    }
  }
  return floats(out, [n, 3, to, to]);
}

class OnnxFileExtractor implements FeatureExtractor {
  readonly name: string;
  readonly sha256: string;
  readonly inputSize: number;
  readonly dims: number;
  readonly #session: Session;
  readonly #signature: Signature;
  readonly #options: OnnxFileOptions;

  constructor(
    name: string,
    sha256: string,
    session: Session,
    signature: Signature,
    options: OnnxFileOptions,
  ) {
    this.name = name;
    this.sha256 = sha256;
    this.inputSize = signature.inputSize;
    this.dims = signature.dims;
    this.#session = session;
    this.#signature = signature;
    this.#options = options;
  }

  extract(pictures: Pictures, signal?: AbortSignal): Promise<Extracted> {
    const { input: inputName, output, dims } = this.#signature;
    const { mean = 127.5, scale = 127.5 } = this.#options;
    const wanted = [[output, input(output, float32("N", dims))]] as const;
    return extractInBatches(
      pictures,
      async (value) => {
        const feeds = new Map([[inputName, prepare(value, this.inputSize, mean, scale)]]);
        const result = (await this.#session.run(feeds, wanted))[output] as Value; // asked for
        return { features: floats(result.data as Float32Array, [value.shape[0] ?? 0, dims]) };
      },
      signal,
    );
  }

  async features(pictures: Pictures, signal?: AbortSignal): Promise<FeatureSet> {
    return (await this.extract(pictures, signal)).features;
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

/**
 * Opens an ONNX file as an extractor. @throws NextxError FEATURES_BAD_ONNX, RUNTIME_FAILED, FILE_ codes
 */
export async function openOnnxFeatures(path: string, options: OnnxFileOptions): Promise<FeatureExtractor> {
  const bytes = await readWhole(path);
  const signature = signatureOf(bytes, path, options);
  const session = await options.device.createSession(new Uint8Array(bytes), { prepack: true, arena: true });
  return new OnnxFileExtractor(
    `${basename(path)} ${signature.output}`,
    sha256Hex(bytes),
    session,
    signature,
    options,
  );
}

/** A network as an extractor: one compiled program for pictures of any size, run batch by batch. */
import type { Device } from "../../runtime/device.ts";
import { compile, type Program } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { matmul } from "../../tensor/ops/linear.ts";
import { float32, type Tensor } from "../../tensor/tensor.ts";
import { type FeatureSet, joinFeatures } from "../featureSet.ts";
import { planes, requirePictures, triangleMatrix } from "./pictures.ts";
import type { Extracted, FeatureExtractor, Pictures } from "./types.ts";

/** A network to wrap. */
export interface NetworkSpec {
  readonly name: string;
  readonly sha256: string;
  readonly inputSize: number;
  readonly weights: ReadonlyMap<string, Value>;
  readonly classNames?: readonly string[];
  /** pictures [B, 3, inputSize, inputSize], RGB, 0 to 255 -> features [B, dims] and logits [B, classes]. */
  readonly describe: (pictures: Tensor) => { readonly features: Tensor; readonly logits?: Tensor };
}

const batchSize = 32;

/** What computes a batch: pictures [B, 3, S, S], 0 to 255, S the pictures' own side. */
export type RunBatch = (pictures: Value) => Promise<{ features: Value; logits?: Value }>;

const rows = ({ data, shape }: Value): FeatureSet => {
  const [count = 0] = shape;
  return { data: data as Float32Array, count, dims: count === 0 ? 1 : data.length / count }; // networks give float32
};

/** Walks over pictures in batches. Errors: METRIC_BAD_SHAPE, METRIC_TOO_FEW_SAMPLES (none), ABORTED. */
export async function extractInBatches(
  pictures: Pictures,
  run: RunBatch,
  signal: AbortSignal | undefined,
): Promise<Extracted> {
  requirePictures(pictures);
  const { count, size } = pictures;
  const [features, logits]: [FeatureSet[], FeatureSet[]] = [[], []];
  for (let first = 0; first < count; first += batchSize) {
    if (signal?.aborted) throw new NextxError("ABORTED", "Measuring was stopped.");
    const n = Math.min(batchSize, count - first);
    const out = await run(floats(planes(pictures, first, n), [n, 3, size, size]));
    features.push(rows(out.features));
    if (out.logits) logits.push(rows(out.logits));
  }
  return { features: joinFeatures(features), ...(logits.length > 0 && { logits: joinFeatures(logits) }) };
}

class NetworkExtractor implements FeatureExtractor {
  readonly name: string;
  readonly sha256: string;
  readonly inputSize: number;
  readonly dims: number;
  readonly classNames?: readonly string[];
  readonly #program: Program;

  constructor(spec: NetworkSpec, dims: number, program: Program) {
    this.name = spec.name;
    this.sha256 = spec.sha256;
    this.inputSize = spec.inputSize;
    this.dims = dims;
    if (spec.classNames) this.classNames = spec.classNames;
    this.#program = program;
  }

  async extract(pictures: Pictures, signal?: AbortSignal): Promise<Extracted> {
    const { size } = pictures;
    const resize = floats(triangleMatrix(size, this.inputSize), [this.inputSize, size]);
    return extractInBatches(
      pictures,
      async (value) => {
        const { features, logits } = await this.#program.run({ pictures: value, resize });
        return { features: features as Value, ...(logits && { logits }) }; // the graph's outputs
      },
      signal,
    );
  }

  async features(pictures: Pictures, signal?: AbortSignal): Promise<FeatureSet> {
    return (await this.extract(pictures, signal)).features;
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
  }
}

/** Compiles a network. Errors: those of tracing and compiling. */
export async function openNetwork(spec: NetworkSpec, device: Device): Promise<FeatureExtractor> {
  const { inputSize, describe, weights } = spec;
  const graph = trace(
    { pictures: float32("B", 3, "S", "S"), resize: float32(inputSize, "S") },
    ({ pictures, resize }) => {
      const resized = matmul(matmul(resize, pictures), resize, false, true); // (B, 3, inputSize, inputSize)
      const { features, logits } = describe(resized);
      return { features, ...(logits && { logits }) } as Record<string, Tensor>;
    },
  );
  const dims = graph.outputs.features?.shape[1];
  if (typeof dims !== "number")
    throw new NextxError("FEATURES_BAD_NETWORK", `${spec.name} gives no features of a fixed size.`);
  return new NetworkExtractor(spec, dims, await compile(graph, { device, weights }));
}

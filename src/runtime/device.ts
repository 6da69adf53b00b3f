/**
 * What computes: one interface for onnxruntime in Node and in the page. Sessions are created here and nowhere else.
 */
import type { Provider, Tensor } from "../tensor/tensor.ts";
import type { ModelPart } from "./onnx.ts";
import type { Graph } from "./trace.ts";
import type { Value } from "./values.ts";

export interface SessionOptions {
  /** Pack constant weights for fast products: more memory and load time, 2-3 times the speed at few rows. */
  readonly prepack: boolean;
  /** Keep freed memory for the next run; off for programs with one huge peak. */
  readonly arena: boolean;
  /** Path prefix of a profile to write; none when undefined. */
  readonly profile?: string;
  /** Outputs to leave on the device, where it has memory of its own. */
  readonly kept?: readonly string[];
  /** Folder of the files that the model's weights lie in; for devices that open files. */
  readonly folder?: string;
  /** Constants that do not lie in the model. */
  readonly parts?: readonly ModelPart[];
}

/** One loaded model. `run` blocks its thread and cannot be interrupted. */
export interface Session extends Disposable {
  run(
    feeds: ReadonlyMap<string, Value>,
    outputs: readonly (readonly [string, Tensor])[],
  ): Promise<Record<string, Value>>;
}

/** Something that computes: sessions of one execution provider, with what programs must know of it. */
export interface Device {
  readonly provider: Provider;
  readonly threads: number;
  /** Package and version, for run folders and benchmarks. */
  readonly runtime: string;
  createSession(model: Uint8Array<ArrayBuffer>, options: SessionOptions): Promise<Session>;
  /** Memory that a program may still take, in bytes; Infinity where unknown. */
  availableMemoryBytes(): number;
  /** Largest tensor it can hold, in bytes; no limit of its own when undefined. */
  readonly maxTensorBytes?: number;
  /** Whether every output that leaves it is a round trip of its own, so that they leave together. */
  readonly joinsOutputs?: true;
  /** It takes constants of more bytes than this beside the model; all of them lie in it when undefined. */
  readonly maxInside?: number;
  /** Whether its sessions read weights from files themselves. */
  readonly opensFiles?: true;
  /** 7 where sums of two products of 8 bits overflow in the processor; 8 when undefined. */
  readonly weightBits?: 7 | 8;
  /** Sees every graph before it is compiled, with the weights that it gets, and may add to its outputs. */
  readonly prepare?: (graph: Graph, weights: ReadonlyMap<string, Value>) => Graph;
}

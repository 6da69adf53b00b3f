/**
 * A session of ONNX Runtime as a Session: the same for onnxruntime-node and onnxruntime-web, which share their types.
 * What the runtime throws becomes a coded error here.
 */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { NextxError } from "../tensor/errors.ts";
import type { DType, Tensor } from "../tensor/tensor.ts";
import type { Session, SessionOptions } from "./device.ts";
import { DeviceValue, type Value, valueType } from "./values.ts";

/** What either package exports. */
export type Ort = Pick<typeof import("onnxruntime-node"), "InferenceSession" | "Tensor">;

/** RUNTIME_OUT_OF_MEMORY or RUNTIME_FAILED, from whatever the runtime threw. */
export function runtimeError(cause: unknown, what: string): NextxError {
  // The wasm build may throw a bare number: a C++ exception that nothing turned into text.
  const text = cause instanceof Error ? cause.message : `exception ${String(cause)}`;
  const memory =
    /bad_alloc|Failed to allocate|out of memory|Array buffer allocation failed|exceeds? .*(maxBufferSize|max buffer size)/i.test(
      text,
    );
  return new NextxError(memory ? "RUNTIME_OUT_OF_MEMORY" : "RUNTIME_FAILED", `${what}: ${text}`, { cause });
}

/** Options that every provider takes. */
export function sessionOptions({
  arena,
  prepack,
  profile,
  folder,
  parts,
}: SessionOptions): InferenceSession.SessionOptions {
  return {
    interOpNumThreads: 1,
    enableCpuMemArena: arena,
    enableMemPattern: false, // shapes change from run to run; a pattern kept per shape only grows
    graphOptimizationLevel: "all",
    logSeverityLevel: 4, // what fails is thrown; nothing is printed
    ...(parts && { externalData: parts.map(({ name, bytes }) => ({ path: name, data: bytes })) }),
    ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    extra: {
      session: {
        intra_op: { allow_spinning: "0" },
        disable_prepacking: prepack ? "0" : "1",
        ...(folder !== undefined && { model_external_initializers_file_folder_path: folder }),
      },
    },
  };
}

/** The option that leaves outputs in WebGPU's buffers. */
export const keptOutputs = ({ kept = [] }: SessionOptions): InferenceSession.SessionOptions =>
  kept.length === 0
    ? {}
    : { preferredOutputLocation: Object.fromEntries(kept.map((name) => [name, "gpu-buffer"])) };

/** Does a task at once; devices that run one model at a time let it wait for its turn. */
export type InTurn = (task: () => void) => void;

const disposed = (): NextxError => new NextxError("RUNTIME_DISPOSED", "The program was disposed.");

export class OrtSession implements Session {
  readonly #ort: Ort;
  readonly #profiled: boolean;
  readonly #keeps: boolean;
  readonly #inTurn: InTurn;
  #session: InferenceSession | undefined;

  /** `inTurn` frees what stayed on the device. */
  constructor(
    ort: Ort,
    session: InferenceSession,
    { profile, kept = [] }: SessionOptions,
    inTurn: InTurn = (task) => task(),
  ) {
    this.#ort = ort;
    this.#session = session;
    this.#profiled = profile !== undefined;
    this.#keeps = kept.length > 0;
    this.#inTurn = inTurn;
  }

  #tensor(value: Value): OrtTensor {
    if (value instanceof DeviceValue) return value.handle as OrtTensor; // made below
    return new this.#ort.Tensor(valueType(value), value.data as Float32Array, value.shape); // typed by dtype
  }

  #value(result: OrtTensor): Value {
    if (result.location !== "gpu-buffer") return { data: result.data as Float32Array, shape: result.dims }; // dtype fixed by the model
    const dtype = result.type as DType; // the runtime's names of ours
    return new DeviceValue(dtype, result.dims, result, () => this.#inTurn(() => result.dispose()));
  }

  async run(
    feeds: ReadonlyMap<string, Value>,
    outputs: readonly (readonly [string, Tensor])[],
  ): Promise<Record<string, Value>> {
    if (this.#session === undefined) throw disposed();
    const tensors: Record<string, OrtTensor> = {};
    for (const [name, value] of feeds) tensors[name] = this.#tensor(value);
    const wanted = outputs.map(([name]) => name);
    // onnxruntime-node binds outputs by their number among those asked for, and what was bound once stays bound: ask for all
    const asked = this.#keeps ? this.#session.outputNames : wanted;
    try {
      const results = await this.#session.run(tensors, asked, { logSeverityLevel: 4 });
      for (const name of asked) if (!wanted.includes(name)) this.#inTurn(() => results[name]?.dispose());
      return Object.fromEntries(
        wanted.map((name) => [name, this.#value(results[name] as OrtTensor)]), // requested by name
      );
    } catch (cause) {
      if (this.#session === undefined) throw disposed();
      throw runtimeError(cause, "The runtime failed");
    }
  }

  [Symbol.dispose](): void {
    if (this.#profiled) this.#session?.endProfiling();
    void this.#session?.release();
    this.#session = undefined;
  }
}

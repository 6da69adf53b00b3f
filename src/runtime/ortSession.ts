/**
 * A session of ONNX Runtime as a Session: the same for onnxruntime-node and onnxruntime-web, which share their types.
 * What the runtime throws becomes a coded error here.
 */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { NextxError } from "../tensor/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Session, SessionOptions } from "./device.ts";
import { type Value, valueType } from "./values.ts";

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
}: SessionOptions): InferenceSession.SessionOptions {
  return {
    interOpNumThreads: 1,
    enableCpuMemArena: arena,
    enableMemPattern: false, // shapes change from run to run; a pattern kept per shape only grows
    graphOptimizationLevel: "all",
    logSeverityLevel: 4, // what fails is thrown; nothing is printed
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

const disposed = (): NextxError => new NextxError("RUNTIME_DISPOSED", "The program was disposed.");

export class OrtSession implements Session {
  readonly #ort: Ort;
  readonly #profiled: boolean;
  #session: InferenceSession | undefined;

  constructor(ort: Ort, session: InferenceSession, profiled: boolean) {
    this.#ort = ort;
    this.#session = session;
    this.#profiled = profiled;
  }

  async run(
    feeds: ReadonlyMap<string, Value>,
    outputs: readonly (readonly [string, Tensor])[],
  ): Promise<Record<string, Value>> {
    if (this.#session === undefined) throw disposed();
    const tensors: Record<string, OrtTensor> = {};
    for (const [name, value] of feeds) {
      tensors[name] = new this.#ort.Tensor(valueType(value), value.data as Float32Array, value.shape); // typed by dtype
    }
    try {
      const results = await this.#session.run(
        tensors,
        outputs.map(([name]) => name),
        { logSeverityLevel: 4 },
      );
      return Object.fromEntries(
        outputs.map(([name]) => {
          const result = results[name] as OrtTensor; // requested by name
          return [name, { data: result.data as Float32Array, shape: result.dims }]; // dtype fixed by the model
        }),
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

/** onnxruntime-node as a Device: the CPU provider, an explicit thread count, no spinning. */
import { createRequire } from "node:module";
import { availableParallelism, freemem } from "node:os";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { NextxError } from "../tensor/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Device, Session, SessionOptions } from "./device.ts";
import { type Value, valueType } from "./values.ts";

type Ort = typeof import("onnxruntime-node");

async function loadRuntime(): Promise<Ort> {
  try {
    const module = await import("onnxruntime-node");
    // CommonJS: named exports may sit on `default`
    return ("default" in module ? module.default : module) as Ort;
  } catch (cause) {
    throw new NextxError("OPTIONAL_DEPENDENCY_MISSING", "onnxruntime-node could not be loaded.", {
      hint: "Install it next to nextx: npm install onnxruntime-node",
      cause,
    });
  }
}

function runtimeError(cause: unknown, what: string): NextxError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const memory = /bad_alloc|Failed to allocate|out of memory/i.test(text);
  return new NextxError(memory ? "RUNTIME_OUT_OF_MEMORY" : "RUNTIME_FAILED", `${what}: ${text}`, { cause });
}

const disposed = (): NextxError => new NextxError("RUNTIME_DISPOSED", "The program was disposed.");

class NodeSession implements Session {
  readonly #ort: Ort;
  #session: InferenceSession | undefined;

  readonly #profiled: boolean;

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

/**
 * The CPU of this machine. `threads` defaults to the cores, at most 8.
 * Errors: DEVICE_BAD_THREADS, OPTIONAL_DEPENDENCY_MISSING.
 */
export async function openCpu(options: { readonly threads?: number } = {}): Promise<Device> {
  const threads = options.threads ?? Math.min(8, availableParallelism());
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= 1024)) {
    throw new NextxError("DEVICE_BAD_THREADS", `The CPU needs 1 to 1024 threads, got ${threads}.`, {
      path: "threads",
    });
  }
  const ort = await loadRuntime();
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string }; // npm's own file
  return {
    provider: "cpu",
    threads,
    runtime: `onnxruntime-node ${version}`,
    availableMemoryBytes: () => process.availableMemory?.() ?? freemem(),
    async createSession(model: Uint8Array<ArrayBuffer>, session: SessionOptions): Promise<Session> {
      try {
        const created = await ort.InferenceSession.create(model, {
          executionProviders: ["cpu"],
          intraOpNumThreads: threads,
          interOpNumThreads: 1,
          enableCpuMemArena: session.arena,
          enableMemPattern: false, // shapes change from run to run; a pattern kept per shape only grows
          graphOptimizationLevel: "all",
          logSeverityLevel: 4, // what fails is thrown; nothing is printed
          ...(session.profile !== undefined && { enableProfiling: true, profileFilePrefix: session.profile }),
          extra: {
            session: {
              intra_op: { allow_spinning: "0" },
              disable_prepacking: session.prepack ? "0" : "1",
            },
          },
        });
        return new NodeSession(ort, created, session.profile !== undefined);
      } catch (cause) {
        throw runtimeError(cause, "The runtime refused the model");
      }
    },
  };
}

/** onnxruntime-node as a Device: the CPU provider, an explicit thread count, no spinning. */
import { createRequire } from "node:module";
import { availableParallelism, freemem } from "node:os";
import { NextxError } from "../tensor/errors.ts";
import type { Device, Session, SessionOptions } from "./device.ts";
import { type Ort, OrtSession, runtimeError, sessionOptions } from "./ortSession.ts";

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
          ...sessionOptions(session),
          executionProviders: ["cpu"],
          intraOpNumThreads: threads,
        });
        return new OrtSession(ort, created, session.profile !== undefined);
      } catch (cause) {
        throw runtimeError(cause, "The runtime refused the model");
      }
    },
  };
}

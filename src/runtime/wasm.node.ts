/** The wasm provider in Node: for machines without a native runtime, and to test what pages compute. */
import { availableParallelism } from "node:os";
import { NextxError } from "../tensor/errors.ts";
import type { Device } from "./device.ts";
import { type OrtWeb, wasmDevice } from "./wasmDevice.ts";

/**
 * `threads` defaults to the cores, at most 8; it is the same for every device of the process.
 * Errors: DEVICE_BAD_THREADS, DEVICE_UNAVAILABLE, OPTIONAL_DEPENDENCY_MISSING.
 */
export async function openWasm(options: { readonly threads?: number } = {}): Promise<Device> {
  const ort = await loadRuntime();
  return wasmDevice(ort, options.threads ?? ort.env.wasm.numThreads ?? Math.min(8, availableParallelism()));
}

async function loadRuntime(): Promise<OrtWeb> {
  try {
    return await import("onnxruntime-web");
  } catch (cause) {
    throw new NextxError("OPTIONAL_DEPENDENCY_MISSING", "onnxruntime-web could not be loaded.", {
      hint: "Install it next to nextx: npm install onnxruntime-web",
      cause,
    });
  }
}

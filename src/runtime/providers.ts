/** What the devices beside the plain CPU share: a device is tried before it is handed out, and runs one model at a time. */
import { NextxError } from "../tensor/errors.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { float32, type Provider } from "../tensor/tensor.ts";
import type { Device } from "./device.ts";
import type { Ort } from "./ortSession.ts";
import { compile } from "./program.ts";
import { trace } from "./trace.ts";
import { floats } from "./values.ts";

/** Execution providers of a session. */
export type Providers = NonNullable<
  NonNullable<Parameters<Ort["InferenceSession"]["create"]>[1]>["executionProviders"]
>;

/** Runs one task after another: overlapping runs of two sessions crash onnxruntime-web's asyncify build. */
export class TaskQueue {
  #last: Promise<unknown> = Promise.resolve();
  #unfinished = 0;

  add<T>(task: () => Promise<T>): Promise<T> {
    this.#unfinished++;
    const next = this.#last.then(task, task).finally(() => {
      this.#unfinished--;
    });
    this.#last = next;
    return next;
  }

  /** At once when nothing runs, so that it is done when this returns; else after what was added before. */
  addOrRun(task: () => void): void {
    if (this.#unfinished === 0) task();
    else void this.add(async () => task());
  }
}

/** Computes 1 + 1 on a device. Errors: DEVICE_UNAVAILABLE with the hint, and what went wrong as its cause. */
export async function tryDevice(device: Device, hint: string): Promise<void> {
  const graph = trace({ x: float32(1) }, ({ x }) => ({ y: add(x, x) }));
  try {
    using program = await compile(graph, { device });
    const { y } = await program.run({ x: floats([1], [1]) });
    if (y.data[0] !== 2) throw new Error(`1 + 1 gave ${y.data[0]}`);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw unavailable(device.provider, text, { hint, cause });
  }
}

export function unavailable(
  provider: Provider,
  why: string,
  details: { readonly hint?: string; readonly cause?: unknown } = {},
): NextxError {
  return new NextxError("DEVICE_UNAVAILABLE", `${provider} cannot be used: ${why}`, details);
}

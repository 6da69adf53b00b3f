/** Page side of `remoteDevice.ts`: opens devices and sessions of this page by number. */
import type { Device, Session, SessionOptions } from "../../src/runtime/device.ts";
import { openWasm, openWebGpu } from "../../src/runtime/device.web.ts";
import type { Value } from "../../src/runtime/values.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

export interface OpenRequest {
  readonly kind: "wasm" | "webgpu";
  readonly files: string;
  readonly threads?: number;
  readonly cpuFallback?: boolean;
}

/** An answer, or what a NextxError holds: errors do not cross as they are. */
export type Answer<T> = { readonly value: T } | { readonly error: { code: string; message: string } };

async function answer<T>(work: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    const { code = "UNCODED", message = String(error) } = error as { code?: string; message?: string };
    return { error: { code, message } };
  }
}

const devices: Device[] = [];
const sessions: Session[] = [];

const remote = {
  open: ({ kind, ...options }: OpenRequest) =>
    answer(async () => {
      const device = await (kind === "wasm" ? openWasm(options) : openWebGpu(options));
      return { id: devices.push(device) - 1, threads: device.threads, runtime: device.runtime };
    }),
  create: (device: number, model: Uint8Array<ArrayBuffer>, options: SessionOptions) =>
    answer(async () => sessions.push(await (devices[device] as Device).createSession(model, options)) - 1),
  run: (session: number, feeds: readonly [string, Value][], outputs: readonly string[]) =>
    answer(() =>
      // a session reads the names only
      (sessions[session] as Session).run(
        new Map(feeds),
        outputs.map((name) => [name, undefined as unknown as Tensor]),
      ),
    ),
  dispose: (session: number) => sessions[session]?.[Symbol.dispose](),
};

export type Remote = typeof remote;

declare global {
  var nextxRemote: Remote | undefined;
}

globalThis.nextxRemote = remote;

/**
 * The wasm build of onnxruntime-web as a Device, for pages and for Node alike; and what all builds of that package share:
 * its settings hold for the whole page or worker, and one model runs at a time.
 */
import { NextxError } from "../tensor/errors.ts";
import type { Device, Session, SessionOptions } from "./device.ts";
import { keptOutputs, OrtSession, runtimeError, sessionOptions } from "./ortSession.ts";
import { type Providers, TaskQueue, tryDevice } from "./providers.ts";

/** What onnxruntime-web exports; each of its builds is a runtime of its own with its own settings. */
export type OrtWeb = typeof import("onnxruntime-web");

/** What to look at when a build does not start. */
export const servedFiles =
  "Check that the files of onnxruntime-web are served (see runtimeFiles) with their types.";

/** A wasm heap ends here. */
const WASM_LIMIT_BYTES = 2 ** 32;

/**
 * Sets threads and file folder of one build. Both are fixed once it has started.
 * Errors: DEVICE_BAD_THREADS (also when the build runs with another number already).
 */
export function configureRuntime(ort: OrtWeb, threads: number, files: string | undefined): void {
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= 64)) {
    throw new NextxError("DEVICE_BAD_THREADS", `wasm needs 1 to 64 threads, got ${threads}.`, {
      path: "threads",
    });
  }
  const { wasm } = ort.env;
  if (wasm.numThreads !== undefined && wasm.numThreads !== threads) {
    throw new NextxError(
      "DEVICE_BAD_THREADS",
      `The runtime runs with ${wasm.numThreads} threads already, ${threads} were asked for.`,
      { path: "threads", hint: "The number is fixed for a page or worker: start another worker." },
    );
  }
  ort.env.logLevel = "fatal"; // what fails is thrown; nothing is printed
  wasm.numThreads = threads;
  if (files !== undefined) wasm.wasmPaths = files;
}

/** Sessions of one onnxruntime-web build on one execution provider, created and run in turn. */
export class WebSessions {
  readonly #ort: OrtWeb;
  readonly #queue = new TaskQueue();
  #modelBytes = 0;

  constructor(ort: OrtWeb) {
    this.#ort = ort;
  }

  /** Bytes of the models that are loaded now. */
  get modelBytes(): number {
    return this.#modelBytes;
  }

  /** `extra` are session configuration entries. */
  async create(
    model: Uint8Array<ArrayBuffer>,
    { profile: _, ...options }: SessionOptions, // profiles are files, for Node
    executionProviders: Providers,
    extra: Readonly<Record<string, string>> = {},
  ): Promise<Session> {
    const common = sessionOptions(options);
    const { session: entries } = common.extra as { session: Record<string, string> }; // made just above
    const settings = {
      ...common,
      ...keptOutputs(options),
      executionProviders,
      extra: { session: { ...entries, ...extra } },
    };
    return this.#queue.add(async () => {
      try {
        const created = await this.#ort.InferenceSession.create(model, settings);
        this.#modelBytes += model.byteLength;
        const session = new OrtSession(this.#ort, created, options, (task) => this.#queue.addOrRun(task));
        return this.#inTurn(session, model.byteLength);
      } catch (cause) {
        throw runtimeError(cause, "The runtime refused the model");
      }
    });
  }

  #inTurn(session: Session, bytes: number): Session {
    let open = true;
    return {
      run: (feeds, outputs) => this.#queue.add(() => session.run(feeds, outputs)),
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        this.#modelBytes -= bytes;
        void this.#queue.add(async () => session[Symbol.dispose]());
      },
    };
  }
}

/**
 * The wasm provider of a loaded build. `files` is the folder URL of its files, where they are not found by themselves.
 * Errors: DEVICE_BAD_THREADS, DEVICE_UNAVAILABLE.
 */
export async function wasmDevice(ort: OrtWeb, threads: number, files?: string): Promise<Device> {
  configureRuntime(ort, threads, files);
  const sessions = new WebSessions(ort);
  const device: Device = {
    provider: "wasm",
    threads,
    runtime: runtimeName(ort),
    availableMemoryBytes: () => WASM_LIMIT_BYTES - sessions.modelBytes,
    createSession: (model, { kept: _, ...options }) => sessions.create(model, options, ["wasm"]), // one memory
  };
  await tryDevice(device, servedFiles);
  return device;
}

export const runtimeName = ({ env }: OrtWeb): string => `onnxruntime-web ${env.versions.web}`;

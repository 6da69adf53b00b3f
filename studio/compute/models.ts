/** Models that are open in the worker, the latest few, and the device that they share. */
import {
  type Device,
  fetchModel,
  type Model,
  type ModelAddress,
  NextxError,
  openFastest,
  openModel,
  runtimeFiles,
} from "../../src/index.web.ts";
import type { DeviceInfo } from "./messages.ts";
import { SharedLoads } from "./sharedLoads.ts";
import { breathe } from "./work.ts";

/** Models kept open. */
const maxModels = 3;

/** Which of the runtime's builds a device uses: browsers that can suspend wasm get a smaller one for the GPU. */
function buildOf({ provider }: Device): keyof typeof runtimeFiles {
  if (provider !== "webgpu") return "wasm";
  return "Suspending" in WebAssembly ? "webgpu" : "webgpuAsyncify";
}

/** Longest that the worker listens to nobody, if no run takes longer. */
const deafMs = 50;

/** Lets messages in between two runs, whoever makes them: a cancel is heard inside tokenising and solvers as well. */
function givingWay(device: Device): Device {
  let heardMs = performance.now();
  return {
    ...device,
    createSession: async (model, options) => {
      const session = await device.createSession(model, options);
      return {
        run: async (feeds, outputs) => {
          if (performance.now() - heardMs > deafMs) {
            await breathe();
            heardMs = performance.now();
          }
          return session.run(feeds, outputs);
        },
        [Symbol.dispose]: () => session[Symbol.dispose](),
      };
    },
  };
}

export class OpenModels {
  readonly #files: string;
  readonly #onDevice: (device: DeviceInfo) => void;
  readonly #models = new Map<string, Model>();
  readonly #loads = new SharedLoads<Model>();
  #device: Promise<Device> | undefined;

  /** `files` is the folder of the runtime's files. */
  constructor(files: string, onDevice: (device: DeviceInfo) => void) {
    this.#files = files;
    this.#onDevice = onDevice;
  }

  /** The fastest device that works here. @throws NextxError DEVICE_UNAVAILABLE */
  device(): Promise<Device> {
    this.#device ??= this.#open();
    return this.#device;
  }

  async #open(): Promise<Device> {
    if (typeof WebAssembly === "undefined") {
      throw new NextxError(
        "DEVICE_UNAVAILABLE",
        "This browser has no WebAssembly, so it cannot compute models.",
        {
          hint: "Use a current browser, or let a server compute: npx nextx serve.",
        },
      );
    }
    const { device, skipped } = await openFastest({ files: this.#files });
    const { provider, threads, runtime } = device;
    const files = runtimeFiles[buildOf(device)].map((name) => this.#files + name);
    this.#onDevice({ provider, threads, runtime, files, skipped: skipped.map(({ message }) => message) });
    return givingWay(device);
  }

  /** Kept open from then on. The runtime starts while the file comes. */
  async #fetch(
    address: ModelAddress,
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<Model> {
    const [device, found] = await Promise.all([this.device(), fetchModel(address, { onProgress, signal })]);
    const model = await openModel(found, device);
    const before = this.#models.get(address.sha256); // of a load that was given up too late
    if (before) model[Symbol.dispose]();
    this.#keep(address.sha256, before ?? model);
    return before ?? model;
  }

  /** Fetched and checked when it is not open, once for all who ask at the same time. */
  async model(
    address: ModelAddress,
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<Model> {
    const { sha256 } = address;
    const known = this.#models.get(sha256);
    if (known) {
      this.#keep(sha256, known);
      return known;
    }
    return this.#loads.get(
      sha256,
      (tell, shared) => this.#fetch(address, tell, shared),
      onProgress,
      signal,
      () => new NextxError("ABORTED", "The work was cancelled."),
    );
  }

  /** The one not used for longest goes. */
  #keep(sha256: string, model: Model): void {
    this.#models.delete(sha256);
    this.#models.set(sha256, model);
    for (const [oldest, unused] of this.#models) {
      if (this.#models.size <= maxModels) break;
      this.#models.delete(oldest);
      unused[Symbol.dispose]();
    }
  }
}

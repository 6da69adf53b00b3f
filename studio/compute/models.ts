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

/** Models kept open. */
const maxModels = 3;

/** Which of the runtime's builds a device uses: browsers that can suspend wasm get a smaller one for the GPU. */
function buildOf({ provider }: Device): keyof typeof runtimeFiles {
  if (provider !== "webgpu") return "wasm";
  return "Suspending" in WebAssembly ? "webgpu" : "webgpuAsyncify";
}

export class OpenModels {
  readonly #files: string;
  readonly #onDevice: (device: DeviceInfo) => void;
  readonly #models = new Map<string, Model>();
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
    return device;
  }

  /** The runtime starts while the file comes. */
  async #fetch(
    address: ModelAddress,
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<Model> {
    const [device, found] = await Promise.all([this.device(), fetchModel(address, { onProgress, signal })]);
    return openModel(found, device);
  }

  /** Fetched and checked when it is not open. The one not used for longest goes. */
  async model(
    address: ModelAddress,
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal,
  ): Promise<Model> {
    const known = this.#models.get(address.sha256);
    this.#models.delete(address.sha256);
    const model = known ?? (await this.#fetch(address, onProgress, signal));
    this.#models.set(address.sha256, model);
    for (const [oldest, unused] of this.#models) {
      if (this.#models.size <= maxModels) break;
      this.#models.delete(oldest);
      unused[Symbol.dispose]();
    }
    return model;
  }
}

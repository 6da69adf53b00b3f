/** Page side of `compute.test.ts`: the public API of pages, driven by name. */
import {
  type Device,
  fetchModel,
  loadUrl,
  type ModelAddress,
  NextxError,
  openWasm,
  openWebGpu,
  trainInMemory,
} from "../../src/index.web.ts";
import { forcedLogits, freeTokens } from "./sameModel.ts";

export type Kind = "webgpu" | "wasm";

const open = (kind: Kind, files: string): Promise<Device> =>
  kind === "webgpu" ? openWebGpu({ files }) : openWasm({ files, threads: 1 });

const computeTasks = {
  async logits(kind: Kind, files: string, address: ModelAddress, sides?: readonly number[]) {
    const device = await open(kind, files);
    using model = await loadUrl(address, { device });
    return Array.from(await forcedLogits(model, device, sides));
  },

  async tokens(kind: Kind, files: string, address: ModelAddress, count: number) {
    using model = await loadUrl(address, { device: await open(kind, files) });
    return await freeTokens(model, count); // the model is open until then
  },

  /** Code and hint of what fetching throws. */
  async refusal(address: ModelAddress) {
    try {
      await fetchModel(address);
      return undefined;
    } catch (error) {
      return error instanceof NextxError ? { code: error.code, hint: error.hint } : { code: String(error) };
    }
  },

  /** Losses of a few steps of a small model, and the size of its file. */
  async train(kind: Kind, files: string, address: ModelAddress, overrides: Record<string, unknown>) {
    const events = trainInMemory({
      from: await fetchModel(address),
      keeps: (name) => name.startsWith("vae."),
      stage: "transformer",
      overrides,
      observeEvery: 1000,
      device: await open(kind, files),
    });
    const losses: number[] = [];
    for await (const event of events) if (event.kind === "step") losses.push(event.report.loss);
    return losses;
  },
};

export type ComputeTasks = typeof computeTasks;

declare global {
  var nextxCompute: ComputeTasks | undefined;
}

globalThis.nextxCompute = computeTasks;

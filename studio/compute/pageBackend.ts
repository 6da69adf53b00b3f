/** This page as what makes pictures, with models that lie beside it, that its server gives, or that were trained here. */
import type { ModelAddress } from "../../src/index.web.ts";
import { maxPageModelBytes } from "../../src/server/limits.ts";
import type { GenerateInput, ModelInfo, ServerEvent } from "../../src/server/protocol.ts";
import { listModels, type PictureRecipe, tokenHeaders } from "../api.ts";
import { ApiError } from "../apiError.ts";
import type { Backend, GenerateEvent } from "../backend.ts";
import { keepUsed } from "../offline/keep.ts";
import { addressOf, isStatic, runtimeFolder, siteModels } from "../site.ts";
import { PageCompute } from "./client.ts";
import type { DeviceInfo } from "./messages.ts";

export class PageBackend implements Backend {
  readonly compute: PageCompute;
  /** A worker of its own, so that pictures do not wait for steps of a training. */
  readonly training: PageCompute;
  #models: readonly ModelInfo[] = [];
  /** Models that exist in this page only, with the address of their bytes. */
  readonly #own = new Map<string, { readonly info: ModelInfo; readonly url: string }>();

  constructor(onDevice: (device: DeviceInfo) => void) {
    this.compute = new PageCompute(runtimeFolder, onDevice);
    this.training = new PageCompute(runtimeFolder, onDevice);
  }

  async listModels(): Promise<ModelInfo[]> {
    const there = isStatic ? await siteModels() : await listModels();
    const own = [...this.#own.values()].map(({ info }) => info);
    const models = [...there.filter(({ sizeBytes }) => sizeBytes <= maxPageModelBytes), ...own];
    this.#models = models;
    return models;
  }

  /** Keeps a model file until the page is closed; one of the same id goes. */
  add(info: ModelInfo, file: Uint8Array<ArrayBuffer>): void {
    const before = this.#own.get(info.id);
    if (before) URL.revokeObjectURL(before.url);
    const url = URL.createObjectURL(new Blob([file], { type: "application/octet-stream" }));
    this.#own.set(info.id, { info, url });
    this.#models = [...this.#models.filter(({ id }) => id !== info.id), info];
  }

  /** @throws ApiError MODEL_NOT_FOUND */
  address(id: string): ModelAddress {
    const info = this.#models.find((model) => model.id === id);
    if (info === undefined) {
      const message = `There is no model "${id}" for this page.`;
      throw new ApiError({ code: "MODEL_NOT_FOUND", message, type: "", param: "model" });
    }
    const address = addressOf(info, isStatic ? undefined : tokenHeaders());
    const own = this.#own.get(id);
    return own ? { ...address, url: own.url, headers: {} } : address;
  }

  async readRecipe(file: Blob): Promise<{ recipe: PictureRecipe; model: string | null }> {
    const png = new Uint8Array(await file.arrayBuffer());
    for await (const { recipe } of this.compute.start({ name: "recipe", png }).events) {
      const model = this.#models.find(({ sha256 }) => sha256 === recipe.sha256)?.id ?? null;
      return { recipe: recipe as unknown as PictureRecipe, model }; // checked by the worker
    }
    throw new Error("The worker said nothing.");
  }

  async *generate(request: GenerateInput, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
    const model = this.address(request.model);
    keepUsed([model.url]);
    const { events } = this.compute.start({ name: "generate", model, request }, signal);
    yield* events as AsyncGenerator<ServerEvent | GenerateEvent>;
  }
}

/** An opened xAR: classes and a seed in, pictures out, entity by entity. */
import { z } from "zod";
import { latentsGraph, picturesGraph } from "../../codec/klAutoencoder.ts";
import { type FlowGroupResult, flowGroupGraph } from "../../decoding/flowGroupGenerator.ts";
import { solvers, streamNoise } from "../../decoding/flowPaths.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { Weights } from "../../nn/scope.ts";
import { restoreAll } from "../../plan/entities.ts";
import { KlCodec } from "../../regimen/klCodec.ts";
import { reconstructThrough } from "../../regimen/reconstruct.ts";
import { samplePictures } from "../../regimen/samplePictures.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { floats } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { buildXar } from "./build.ts";
import type { XarModelConfig } from "./config.ts";
import { generateEntities } from "./generate.ts";

/** What can be chosen when sampling. */
export const xarSamplingSchema = z.strictObject({
  cfgScale: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe("Guidance t of the last entity, rising from 0; officially written as 1 + t (2.7, 2.3, 2.2)."),
  steps: z.int().min(1).max(1000).default(25).describe("Passes per entity; officially 40 or 50."),
  solver: z.enum(solvers).default("euler-maruyama").describe("With fresh noise at every step, or without."),
});

export class XarModel implements ImageModel {
  readonly description: ModelDescription;
  readonly graphs;
  readonly #networks: ReturnType<typeof buildXar>;
  readonly #codec: KlCodec;
  readonly #programs: ProgramStore;

  constructor(description: ModelDescription, config: XarModelConfig, weights: Weights, device: Device) {
    const networks = buildXar(config);
    const { tokenizer, transformer } = networks;
    this.description = description;
    this.#networks = networks;
    this.#codec = new KlCodec(tokenizer, weights, device);
    this.#programs = new ProgramStore(weights, device);
    this.graphs = {
      encode: () => latentsGraph(tokenizer),
      decode: () => picturesGraph(tokenizer),
      step: () => flowGroupGraph(transformer, 1),
      "step-guided": () => flowGroupGraph(transformer, 2),
    };
  }

  async *sample(request: SampleRequest): AsyncGenerator<SampleEvent> {
    const options = xarSamplingSchema.parse(request.options);
    if (request.edit)
      throw new NextxError("EDIT_NOT_POSSIBLE", "This model makes whole pictures only.", { path: "edit" });
    const { transformer: model } = this.#networks;
    yield* samplePictures(request, {
      plan: model.plan,
      nullLabel: model.nullLabel,
      imageSize: this.description.imageSize,
      generate: (labels, streams) => {
        const settings = { ...options, ...(request.signal && { signal: request.signal }) };
        const noise = streamNoise(model.valueWidth, streams);
        return generateEntities(model, this.#programs, labels, settings, noise);
      },
      decode: (result) => this.#decode(result),
    });
  }

  /** Pictures as far as they are: latents of entities to come are 0, their mean. */
  #decode({ group, sequence }: FlowGroupResult) {
    const { plan, valueWidth } = this.#networks.transformer;
    const batch = sequence.length / plan.length / valueWidth;
    const latents = restoreAll(plan, sequence, batch, group.index + 1);
    return this.#codec.decode(floats(latents, [batch, valueWidth, plan.side, plan.side]));
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return reconstructThrough(this.#codec, pixels, signal);
  }

  [Symbol.dispose](): void {
    this.#codec[Symbol.dispose]();
    this.#programs[Symbol.dispose]();
  }
}

/** An opened HMAR: classes and a seed in, pictures out, scale by scale; edits keep tokens of a given picture. */
import { z } from "zod";
import { repeatEdit } from "../../codec/editMask.ts";
import {
  advanceGraph,
  decodeGraph,
  encodeGraph,
  roundTripGraph,
  tokenizeGraph,
} from "../../codec/multiScalePrograms.ts";
import { aloneGraph } from "../../decoding/groupPrograms.ts";
import type { Weights } from "../../nn/scope.ts";
import { editTokens } from "../../regimen/editTokens.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import { samplePictures } from "../../regimen/samplePictures.ts";
import { codeFilters } from "../../regimen/samplingFields.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { buildHmar, type HmarNetworks } from "./build.ts";
import type { HmarModelConfig } from "./config.ts";
import { HmarGenerator } from "./generate.ts";
import { refineGraph } from "./programs.ts";
import { readSchedule } from "./refineSchedule.ts";

/** What can be chosen when sampling. */
export const hmarSamplingSchema = z.strictObject({
  cfgScale: z
    .number()
    .min(0)
    .max(100)
    .default(1.5)
    .describe("Guidance t of the last scale, ramped from 0: logits = (1 + t) conditional - t unconditional."),
  ...codeFilters(0.99),
  refine: z
    .string()
    .max(4096)
    .default("default")
    .describe('Tokens fixed by each pass, per scale: "1/1,3/1,1,2,5/16"; "none" predicts every scale once.'),
});

export class HmarModel implements ImageModel {
  readonly description: ModelDescription;
  readonly graphs;
  readonly #networks: HmarNetworks;
  readonly #generator: HmarGenerator;
  readonly #weights: Weights;
  readonly #device: Device;

  constructor(description: ModelDescription, config: HmarModelConfig, weights: Weights, device: Device) {
    const networks = buildHmar(config);
    const { tokenizer, nextScale, masked } = networks;
    this.description = description;
    this.#networks = networks;
    this.#generator = new HmarGenerator(networks, weights, device);
    this.#weights = weights;
    this.#device = device;
    this.graphs = {
      encode: () => encodeGraph(tokenizer),
      tokenize: () => tokenizeGraph(tokenizer),
      decode: () => decodeGraph(tokenizer),
      pass: () => aloneGraph(nextScale, 1),
      "pass-guided": () => aloneGraph(nextScale, 2),
      refine: () => refineGraph(tokenizer, masked),
      advance: () => advanceGraph(tokenizer, nextScale),
    };
  }

  async *sample(request: SampleRequest): AsyncGenerator<SampleEvent> {
    const { refine, ...options } = hmarSamplingSchema.parse(request.options);
    const { tokenizer, nextScale } = this.#networks;
    const schedule = readSchedule(refine, tokenizer.plan);
    const edit = request.edit && (await editTokens(request.edit, tokenizer, this.#weights, this.#device));
    yield* samplePictures(request, {
      plan: tokenizer.plan,
      nullLabel: nextScale.conditioner.nullLabel,
      imageSize: this.description.imageSize,
      generate: (labels, streams) => {
        const settings = {
          ...options,
          schedule,
          ...(edit && { edit: repeatEdit(edit, labels.length) }),
          ...(request.signal && { signal: request.signal }),
        };
        return this.#generator.generate(labels, settings, streams);
      },
      decode: ({ total }) => this.#generator.decode(total),
    });
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const trip = { graph: roundTripGraph(this.#networks.tokenizer), weights: this.#weights };
    return reconstructPictures(trip, pixels, this.description.imageSize, this.#device, signal);
  }

  [Symbol.dispose](): void {
    this.#generator[Symbol.dispose]();
  }
}

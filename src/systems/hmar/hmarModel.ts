/** An opened HMAR: classes and a seed in, pictures out, scale by scale; edits keep tokens of a given picture. */
import { z } from "zod";
import { advanceGraph, decodeGraph, encodeGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { aloneGraph } from "../../decoding/groupPrograms.ts";
import type { Weights } from "../../nn/scope.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { MultiScalePictures } from "../../regimen/multiScalePictures.ts";
import { codeFilters } from "../../regimen/samplingFields.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import type { Value } from "../../runtime/values.ts";
import { buildHmar } from "./build.ts";
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
  readonly #plan: Plan<Scale>;
  readonly #generator: HmarGenerator;
  readonly #pictures: MultiScalePictures;

  constructor(description: ModelDescription, config: HmarModelConfig, weights: Weights, device: Device) {
    const networks = buildHmar(config);
    const { tokenizer, nextScale, masked } = networks;
    this.description = description;
    this.#plan = tokenizer.plan;
    this.#generator = new HmarGenerator(networks, weights, device);
    const { nullLabel } = nextScale.conditioner;
    const decode = (total: Value) => this.#generator.decode(total);
    this.#pictures = new MultiScalePictures({ tokenizer, nullLabel, weights, device, decode });
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
    const schedule = readSchedule(refine, this.#plan);
    yield* this.#pictures.sample(request, (labels, settings, streams) =>
      this.#generator.generate(labels, { ...options, schedule, ...settings }, streams),
    );
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#pictures.reconstruct(pixels, signal);
  }

  [Symbol.dispose](): void {
    this.#generator[Symbol.dispose]();
  }
}

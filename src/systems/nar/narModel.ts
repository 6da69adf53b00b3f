/** An opened NAR: classes and a seed in, pictures out, diagonal by diagonal. */
import { z } from "zod";
import {
  idsGraph,
  latentsGraph,
  pictureGraph,
  type VqTokenizer,
  vqRoundTripGraph,
} from "../../codec/vqTokenizer.ts";
import { decodePictures } from "../../decoding/decodePictures.ts";
import { type LatticeResult, latticeGraph } from "../../decoding/latticeGenerator.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { Weights } from "../../nn/scope.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import { samplePictures } from "../../regimen/samplePictures.ts";
import { codeFilters } from "../../regimen/samplingFields.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { ints } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { buildNar } from "./build.ts";
import type { NarModelConfig } from "./config.ts";
import { type GroupTokens, generateTokens, inRowMajor } from "./generate.ts";
import type { LatticeTransformer } from "./model.ts";

/** What can be chosen when sampling. */
export const narSamplingSchema = z.strictObject({
  cfgScale: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe("Guidance t: logits = (1 + t) conditional - t unconditional; officially written as 1 + t."),
  cfgInterval: z
    .int()
    .min(-1)
    .max(1_000_000)
    .default(-1)
    .describe("Tokens after which guidance ends; -1 never ends it."),
  ...codeFilters(0),
});

export class NarModel implements ImageModel {
  readonly description: ModelDescription;
  readonly graphs;
  readonly #tokenizer: VqTokenizer;
  readonly #transformer: LatticeTransformer;
  readonly #programs: ProgramStore;
  readonly #weights: Weights;
  readonly #device: Device;

  constructor(description: ModelDescription, config: NarModelConfig, weights: Weights, device: Device) {
    const { tokenizer, transformer } = buildNar(config);
    this.description = description;
    this.#tokenizer = tokenizer;
    this.#transformer = transformer;
    this.#programs = new ProgramStore(weights, device);
    this.#weights = weights;
    this.#device = device;
    this.graphs = {
      encode: () => latentsGraph(tokenizer),
      tokenize: () => idsGraph(tokenizer),
      decode: () => pictureGraph(tokenizer),
      prefix: () => latticeGraph(transformer, 1, "prefix"),
      "prefix-guided": () => latticeGraph(transformer, 2, "prefix"),
      step: () => latticeGraph(transformer, 1, "group"),
      "step-guided": () => latticeGraph(transformer, 2, "group"),
    };
  }

  async *sample(request: SampleRequest): AsyncGenerator<SampleEvent> {
    const options = narSamplingSchema.parse(request.options);
    if (request.edit)
      throw new NextxError("EDIT_NOT_POSSIBLE", "This model knows nothing of a picture's later parts.", {
        path: "edit",
      });
    const model = this.#transformer;
    let results: GroupTokens[] = [];
    yield* samplePictures(request, {
      plan: model.plan,
      nullLabel: model.conditioner.nullLabel,
      imageSize: this.description.imageSize,
      generate: (labels, streams) => {
        results = [];
        const settings = { ...options, ...(request.signal && { signal: request.signal }) };
        return kept(generateTokens(model, this.#programs, labels, settings, streams), results);
      },
      decode: async () => {
        const batch = (results[0] as GroupTokens).tokens.length; // one site in the first group
        const ids = ints(inRowMajor(model, results, batch), [batch, model.plan.length]);
        const graph = () => pictureGraph(this.#tokenizer);
        return decodePictures(this.#programs, graph, ["ids", ids], this.#tokenizer.imageSize);
      },
    });
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const trip = { graph: vqRoundTripGraph(this.#tokenizer), weights: this.#weights };
    return reconstructPictures(trip, pixels, this.description.imageSize, this.#device, signal);
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
  }
}

/** The same results; their tokens are also pushed to `into`, without the logits, which are large. */
async function* kept(
  results: AsyncGenerator<LatticeResult>,
  into: GroupTokens[],
): AsyncGenerator<LatticeResult> {
  for await (const result of results) {
    into.push({ group: result.group, tokens: result.tokens });
    yield result;
  }
}

/** An opened VAR: classes and a seed in, pictures out, scale by scale; edits keep tokens of a given picture. */
import { z } from "zod";
import { repeatEdit } from "../../codec/editMask.ts";
import {
  advanceGraph,
  decodeGraph,
  encodeGraph,
  roundTripGraph,
  tokenizeGraph,
} from "../../codec/multiScalePrograms.ts";
import { stepGraph } from "../../decoding/groupPrograms.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { editTokens } from "../../regimen/editTokens.ts";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { codebookName, multiScaleTokenizer, tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import { samplePictures } from "../../regimen/samplePictures.ts";
import { codeFilters } from "../../regimen/samplingFields.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { VarGenerator } from "./generate.ts";
import { VarTransformer } from "./model.ts";
import { transformerPrefix } from "./scaleWise.ts";

/** Model configuration as a model file holds it. */
export const varModelSchema = z.strictObject({ tokenizer: tokenizerSchema, transformer: transformerSchema });
export type VarModelConfig = z.infer<typeof varModelSchema>;

/** What can be chosen when sampling. */
export const varSamplingSchema = z.strictObject({
  cfgScale: z
    .number()
    .min(0)
    .max(100)
    .default(1.5)
    .describe("Guidance t of the last scale, ramped from 0: logits = (1 + t) conditional - t unconditional."),
  ...codeFilters(0.96),
  smooth: z.boolean().default(false).describe("Mix codes instead of picking one: smoother, for show only."),
});

/** Both models over fresh scopes. */
export function buildVar(config: VarModelConfig) {
  const scopes = { tokenizer: Scope.root(tokenizerPrefix), transformer: Scope.root(transformerPrefix) };
  const tokenizer = multiScaleTokenizer(scopes.tokenizer, config.tokenizer);
  const { vocabSize } = config.tokenizer;
  const transformer = new VarTransformer(scopes.transformer, config.transformer, vocabSize);
  return { tokenizer, transformer, scopes };
}

export class VarModel implements ImageModel {
  readonly description: ModelDescription;
  readonly graphs;
  readonly #generator: VarGenerator;
  readonly #weights: Weights;
  readonly #device: Device;

  constructor(description: ModelDescription, config: VarModelConfig, weights: Weights, device: Device) {
    const { tokenizer, transformer } = buildVar(config);
    this.description = description;
    this.#generator = new VarGenerator(tokenizer, transformer, weights, codebookName, device);
    this.#weights = weights;
    this.#device = device;
    this.graphs = {
      encode: () => encodeGraph(tokenizer),
      tokenize: () => tokenizeGraph(tokenizer),
      decode: () => decodeGraph(tokenizer),
      step: () => stepGraph(transformer, 1),
      "step-guided": () => stepGraph(transformer, 2),
      advance: () => advanceGraph(tokenizer, transformer),
    };
  }

  async *sample(request: SampleRequest): AsyncGenerator<SampleEvent> {
    const options = varSamplingSchema.parse(request.options);
    const { tokenizer, model } = this.#generator;
    const edit = request.edit && (await editTokens(request.edit, tokenizer, this.#weights, this.#device));
    yield* samplePictures(request, {
      plan: tokenizer.plan,
      nullLabel: model.conditioner.nullLabel,
      imageSize: this.description.imageSize,
      generate: (labels, streams) => {
        const settings = {
          ...options,
          ...(edit && { edit: repeatEdit(edit, labels.length) }),
          ...(request.signal && { signal: request.signal }),
        };
        return this.#generator.generate(labels, settings, { streams });
      },
      decode: ({ total }) => this.#generator.decode(total),
    });
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const trip = { graph: roundTripGraph(this.#generator.tokenizer), weights: this.#weights };
    return reconstructPictures(trip, pixels, this.description.imageSize, this.#device, signal);
  }

  [Symbol.dispose](): void {
    this.#generator[Symbol.dispose]();
  }
}

/** An opened VAR: classes and a seed in, pictures out, scale by scale; edits keep tokens of a given picture. */
import { z } from "zod";
import { advanceGraph, decodeGraph, encodeGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { stepGraph } from "../../decoding/groupPrograms.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { codebookName, multiScaleTokenizer, tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import { MultiScalePictures } from "../../regimen/multiScalePictures.ts";
import { codeFilters } from "../../regimen/samplingFields.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import type { Value } from "../../runtime/values.ts";
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
  readonly #pictures: MultiScalePictures;

  constructor(description: ModelDescription, config: VarModelConfig, weights: Weights, device: Device) {
    const { tokenizer, transformer } = buildVar(config);
    this.description = description;
    this.#generator = new VarGenerator(tokenizer, transformer, weights, codebookName, device);
    const { nullLabel } = transformer.conditioner;
    const decode = (total: Value) => this.#generator.decode(total);
    this.#pictures = new MultiScalePictures({ tokenizer, nullLabel, weights, device, decode });
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
    yield* this.#pictures.sample(request, (labels, settings, streams) =>
      this.#generator.generate(labels, { ...options, ...settings }, { streams }),
    );
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#pictures.reconstruct(pixels, signal);
  }

  [Symbol.dispose](): void {
    this.#generator[Symbol.dispose]();
  }
}

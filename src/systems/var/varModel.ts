/** An opened VAR: classes and a seed in, pictures out, scale by scale; edits keep tokens of a given picture. */
import { z } from "zod";
import { boxMask, editPlan, repeatEdit } from "../../codec/editMask.ts";
import { floatToImages, imagesToFloat } from "../../data/pixels.ts";
import { stepGraph } from "../../decoding/groupPrograms.ts";
import type { KeptTokens } from "../../decoding/types.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { pictureStreams } from "../../regimen/pictureStreams.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import type {
  EditRequest,
  ImageModel,
  ModelDescription,
  SampleEvent,
  SampleRequest,
} from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { tokenizerSchema, transformerSchema } from "./config.ts";
import { VarGenerator } from "./generate.ts";
import { VarTransformer } from "./model.ts";
import { advanceGraph, decodeGraph, encodeGraph, roundTripGraph, tokenizeGraph } from "./programs.ts";
import { transformerPrefix } from "./scaleWise.ts";
import { VarTokenizer } from "./tokenizer.ts";
import { codebookName, tokenizerPrefix } from "./trainableCodec.ts";

/** Most pictures that go through the model at once. */
const chunkSize = 32;

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
  topK: z.int().min(0).max(1_000_000).default(0).describe("Keep the k most likely codes; 0 keeps all."),
  topP: z
    .number()
    .min(0)
    .max(1)
    .default(0.96)
    .describe("Keep the most likely codes that make up p; 0 or 1 keeps all."),
  temperature: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe("Divides logits; 0 takes the most likely code."),
  smooth: z.boolean().default(false).describe("Mix codes instead of picking one: smoother, for show only."),
});

/** Both models over fresh scopes. */
export function buildVar(config: VarModelConfig) {
  const scopes = { tokenizer: Scope.root(tokenizerPrefix), transformer: Scope.root(transformerPrefix) };
  const tokenizer = new VarTokenizer(scopes.tokenizer, config.tokenizer);
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
    const { imageSize } = this.description;
    const { plan } = this.#generator.tokenizer;
    const { nullLabel } = this.#generator.model.conditioner;
    const count = request.labels.length;
    const edit = request.edit && (await this.#editPlan(request.edit));
    const pictureLength = imageSize * imageSize * 3;
    const pixels = new Uint8Array(count * pictureLength).fill(128);
    const ids = plan.groups.map((group) => new Int32Array(count * group.size));
    const chunks = Math.ceil(count / chunkSize);
    const total = chunks * plan.groups.length;
    for (let chunk = 0; chunk < chunks; chunk++) {
      const first = chunk * chunkSize;
      const labels = Int32Array.from(
        request.labels.slice(first, first + chunkSize),
        (label) => label ?? nullLabel,
      );
      const streams = pictureStreams(request, first, labels.length);
      const settings = {
        ...options,
        ...(edit && { edit: repeatEdit(edit, labels.length) }),
        ...(request.signal && { signal: request.signal }),
      };
      for await (const { group: scale, total: features, tokens } of this.#generator.generate(
        labels,
        settings,
        {
          streams,
        },
      )) {
        ids[scale.index]?.set(tokens, first * scale.size);
        const isLast = scale.index === plan.groups.length - 1;
        if (isLast || request.previews) {
          const images = await this.#generator.decode(features);
          pixels.set(
            floatToImages(images.data as Float32Array, labels.length, imageSize),
            first * pictureLength,
          );
        }
        const done = chunk * plan.groups.length + scale.index + 1;
        if (request.previews || done === total) yield { done, total, pixels: pixels.slice(), ids };
      }
    }
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const trip = { graph: roundTripGraph(this.#generator.tokenizer), weights: this.#weights };
    return reconstructPictures(trip, pixels, this.description.imageSize, this.#device, signal);
  }

  /** Tokens of the picture, and where they stay. */
  async #editPlan({ pixels, box, where }: EditRequest): Promise<KeptTokens> {
    const { tokenizer } = this.#generator;
    const { imageSize } = this.description;
    if (tokenizer.config.inChannels !== 3) {
      throw new NextxError("EDIT_BAD_PICTURE", "Only models of colour pictures can edit.", { path: "edit" });
    }
    using program = await compile(tokenizeGraph(tokenizer), {
      device: this.#device,
      weights: this.#weights,
      prepack: false,
    });
    const images = floats(imagesToFloat(pixels, 1, imageSize), [1, 3, imageSize, imageSize]);
    const ids = (await program.run({ images })).ids as Value; // the graph's output
    const mask = boxMask(tokenizer.vq.side, box, where === "inside");
    return editPlan(tokenizer.plan, mask, ids.data as Int32Array);
  }

  [Symbol.dispose](): void {
    this.#generator[Symbol.dispose]();
  }
}

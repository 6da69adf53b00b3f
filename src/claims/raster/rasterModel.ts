/** An opened next-token baseline: classes and a seed in, pictures out, as any model of pictures. */

import { decodeGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../../codec/multiScaleTokenizer.ts";
import { floatToImages } from "../../data/pixels.ts";
import { startGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { ParameterSpec, Weights } from "../../nn/scope.ts";
import { pictureStreams } from "../../regimen/pictureStreams.ts";
import { decodeFeatures } from "../../regimen/scaleSteps.ts";
import type { ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { ints, type Value } from "../../runtime/values.ts";
import { varSamplingSchema } from "../../systems/var/varModel.ts";
import { symbol } from "../../tensor/dims.ts";
import { int32, type Tensor } from "../../tensor/tensor.ts";
import { rasterConfigSchema } from "./config.ts";
import { nextInputGraph, RasterGenerator } from "./generate.ts";
import { buildRaster } from "./model.ts";

const chunkSize = 32;

/** Ids [B, L] -> features [B, D, P, P]. */
function featuresGraph(tokenizer: MultiScaleTokenizer) {
  return trace({ ids: int32(symbol("B"), tokenizer.plan.length) }, ({ ids }) => ({
    features: tokenizer.vq.reconstruct(ids).at(-1) as Tensor, // at least one scale
  }));
}

/** Names and shapes of the parameters, nothing allocated. @throws NextxError or ZodError for a bad configuration */
export function rasterParameters(config: unknown): ReadonlyMap<string, ParameterSpec> {
  const { tokenizer, transformer, scopes } = buildRaster(rasterConfigSchema.parse(config));
  for (const graph of [tokenizeGraph, decodeGraph]) graph(tokenizer); // describing asks for every parameter
  startGraph(transformer, 1, 1);
  stepGraph(transformer, 1);
  nextInputGraph(transformer, tokenizer.config.zChannels);
  transformer.positions();
  return new Map([...scopes.tokenizer.specs, ...scopes.transformer.specs]);
}

/** Dispose when done. */
export class RasterModel implements Disposable {
  readonly description: ModelDescription;
  readonly #generator: RasterGenerator;
  readonly #tokenizer: MultiScaleTokenizer;
  readonly #programs: ProgramStore;

  constructor(description: ModelDescription, weights: Weights, device: Device) {
    const { tokenizer, transformer } = buildRaster(rasterConfigSchema.parse(description.config));
    this.description = description;
    this.#tokenizer = tokenizer;
    this.#generator = new RasterGenerator(transformer, tokenizer.config.zChannels, weights, device);
    this.#programs = new ProgramStore(weights, device);
  }

  /** One event with all pictures; with previews one per batch. @throws NextxError SAMPLING_, LABEL_, ABORTED */
  async *sample(request: SampleRequest): AsyncGenerator<SampleEvent> {
    const options = varSamplingSchema.parse(request.options);
    const { imageSize } = this.description;
    const { nullLabel } = this.#generator.model.conditioner;
    const { length } = this.#tokenizer.plan;
    const count = request.labels.length;
    const pixels = new Uint8Array(count * imageSize * imageSize * 3).fill(128);
    const ids = new Int32Array(count * length);
    for (let first = 0; first < count; first += chunkSize) {
      const labels = Int32Array.from(
        request.labels.slice(first, first + chunkSize),
        (label) => label ?? nullLabel,
      );
      const streams = pictureStreams(request, first, labels.length);
      const settings = { ...options, ...(request.signal && { signal: request.signal }) };
      const own = ids.subarray(first * length, (first + labels.length) * length);
      for await (const { group, tokens } of this.#generator.generate(labels, settings, streams))
        for (const [b, token] of tokens.entries()) own[b * length + group.index] = token;
      const images = await this.#decode(own, labels.length);
      pixels.set(floatToImages(images, labels.length, imageSize), first * imageSize * imageSize * 3);
      const done = first + labels.length;
      if (request.previews || done === count) yield { done, total: count, pixels, ids: [ids] };
    }
  }

  async #decode(tokens: Int32Array, count: number): Promise<Float32Array> {
    const ids = ints(tokens.slice(), [count, this.#tokenizer.plan.length]);
    const { features } = await this.#programs.run("features", () => featuresGraph(this.#tokenizer), { ids });
    const { data } = await decodeFeatures(this.#programs, this.#tokenizer, features as Value); // the graph's output
    return data as Float32Array; // pictures are float32
  }

  [Symbol.dispose](): void {
    this.#generator[Symbol.dispose]();
    this.#programs[Symbol.dispose]();
  }
}

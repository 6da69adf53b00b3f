/** An opened FlexVAR, refined or not: classes, a seed and any schedule in, pictures out, scale by scale. */

import { z } from "zod";
import { editPlan, repeatEdit, requestMask } from "../../codec/editMask.ts";
import { areaRows, resizePictures } from "../../codec/resize.ts";
import { poolMatrix } from "../../codec/scaleMatrices.ts";
import { floatToImages, imagesToFloat } from "../../data/pixels.ts";
import { stepGraph } from "../../decoding/groupPrograms.ts";
import type { KeptTokens } from "../../decoding/types.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { patchNumsSchema } from "../../regimen/multiScaleConfig.ts";
import { pictureStreams } from "../../regimen/pictureStreams.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import { scalesAtOnce } from "../../regimen/samplePictures.ts";
import { codeFilters } from "../../regimen/samplingFields.ts";
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
import { largestSide, tokenizerSchema, transformerSchema } from "./config.ts";
import { FlexGenerator, type GenerateOptions } from "./generate.ts";
import { FlexTransformer } from "./model.ts";
import { advanceGraph, decodeGraph, encodeGraph, roundTripGraph, tokenizeGraph } from "./programs.ts";
import { FlexTokenizer } from "./tokenizer.ts";
import { tokenizerPrefix } from "./trainableCodec.ts";

/** Parameter prefix of the transformer in files that hold both models. */
export const transformerPrefix = "var.";

/** Model configuration as a model file holds it. */
export const sarModelSchema = z.strictObject({ tokenizer: tokenizerSchema, transformer: transformerSchema });
export type SarModelConfig = z.infer<typeof sarModelSchema>;

/** What can be chosen when sampling. */
export const sarSamplingSchema = z.strictObject({
  schedule: patchNumsSchema.optional().describe("Sides of the scales, growing; the model's own when absent."),
  cfgScale: z.number().min(0).max(100).default(1.5).describe("Guidance weight; see guidance."),
  guidance: z
    .enum(["ramp", "constant"])
    .default("ramp")
    .describe("ramp: (1 + t) c - t u with t rising to cfgScale; constant: u + cfgScale (c - u)."),
  ...codeFilters(0.96),
  keepScales: z
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe("With an edit: coarse scales taken from the picture as they are, to refine it."),
});

/**
 * A picture has tokens up to its latents' side; those of a larger side would describe another picture.
 * @throws NextxError SCHEDULE_TOO_FINE where one that is kept lies beyond it
 */
function requireTrueTokens(plan: Plan<Scale>, latentSide: number, keep: KeptTokens["keep"]): void {
  const beyond = plan.groups.find(({ side, index }) => side > latentSide && keep[index]?.includes(1));
  if (beyond === undefined) return;
  throw new NextxError(
    "SCHEDULE_TOO_FINE",
    `A picture's own tokens end at side ${latentSide}: nothing of it can stay at side ${beyond.side}.`,
    {
      path: "schedule",
      hint: `End the schedule at ${latentSide}, or keep coarse scales only (--box 0,0,1,1 --keep-scales 4).`,
    },
  );
}

/** Both models over fresh scopes. */
export function buildSar(config: SarModelConfig) {
  const scopes = { tokenizer: Scope.root(tokenizerPrefix), transformer: Scope.root(transformerPrefix) };
  const tokenizer = new FlexTokenizer(scopes.tokenizer, config.tokenizer);
  const transformer = new FlexTransformer(scopes.transformer, config.transformer, config.tokenizer.vocabSize);
  return { tokenizer, transformer, scopes };
}

export class SarModel implements ImageModel {
  readonly description: ModelDescription;
  readonly graphs;
  readonly #config: SarModelConfig;
  readonly #generator: FlexGenerator;
  readonly #weights: Weights;
  readonly #device: Device;

  constructor(description: ModelDescription, config: SarModelConfig, weights: Weights, device: Device) {
    const { tokenizer, transformer } = buildSar(config);
    this.description = description;
    this.#config = config;
    this.#generator = new FlexGenerator(tokenizer, transformer, weights, device);
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

  /** Previews and last scales of another side than trained come in the model's size; `native` has them as decoded. */
  async *sample(request: SampleRequest): AsyncGenerator<SampleEvent> {
    const { schedule, keepScales, ...chosen } = sarSamplingSchema.parse(request.options);
    const { imageSize } = this.description;
    const plan = scalePlan(schedule ?? this.#config.transformer.patchNums);
    const { nullLabel } = this.#generator.model.conditioner;
    const count = request.labels.length;
    const edit = request.edit && (await this.#editPlan(request.edit, plan, keepScales));
    const length = imageSize * imageSize * 3;
    const pixels = new Uint8Array(count * length).fill(128);
    const lastSize = (plan.groups.at(-1)?.side ?? 1) * this.#generator.tokenizer.factor;
    const native = { size: lastSize, pixels: new Uint8Array(count * lastSize * lastSize * 3) };
    const ids = plan.groups.map((group) => new Int32Array(count * group.size));
    const chunkSize = scalesAtOnce(this.#device, Math.max(imageSize, lastSize));
    const chunks = Math.ceil(count / chunkSize);
    const total = chunks * plan.groups.length;
    for (let chunk = 0; chunk < chunks; chunk++) {
      const first = chunk * chunkSize;
      const some = request.labels.slice(first, first + chunkSize);
      const labels = Int32Array.from(some, (label) => label ?? nullLabel);
      const streams = pictureStreams(request, first, labels.length);
      const options: GenerateOptions = {
        ...chosen,
        maxSide: largestSide(this.#config.transformer),
        ...(edit && { edit: repeatEdit(edit, labels.length) }),
        ...(request.signal && { signal: request.signal }),
      };
      for await (const { group, tokens, codes } of this.#generator.generate(labels, plan, options, streams)) {
        ids[group.index]?.set(tokens, first * group.size);
        const isLast = group.index === plan.groups.length - 1;
        if (isLast || request.previews) {
          const images = await this.#generator.decode(codes, labels.length, group);
          const shown = resizePictures(images, imageSize);
          pixels.set(floatToImages(shown.data as Float32Array, labels.length, imageSize), first * length);
          if (isLast)
            native.pixels.set(
              floatToImages(images.data as Float32Array, labels.length, lastSize), // decoded: float32
              first * lastSize * lastSize * 3,
            );
        }
        const done = chunk * plan.groups.length + group.index + 1;
        if (request.previews || done === total) {
          const own = done === total && lastSize !== imageSize ? { native } : {};
          yield { done, total, pixels: pixels.slice(), ids, ...own };
        }
      }
    }
  }

  /** At the finest side. */
  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const { tokenizer } = this.#generator;
    const { latentSide: side } = tokenizer.config;
    const inputs = { rows: floats(areaRows(side, side), [side, side]) };
    const trip = { graph: roundTripGraph(tokenizer), weights: this.#weights, inputs };
    return reconstructPictures(trip, pixels, this.description.imageSize, this.#device, signal);
  }

  /** Tokens of the picture at every side of the schedule, and where they stay. */
  async #editPlan(
    { pixels, ...marked }: EditRequest,
    plan: Plan<Scale>,
    keepScales: number,
  ): Promise<KeptTokens> {
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
    const pool = poolMatrix(tokenizer.config.latentSide, plan);
    const ids = (await program.run({ images, pool })).ids as Value; // the graph's output
    const mask = requestMask(plan.groups.at(-1)?.side ?? 1, marked);
    const edit = editPlan(plan, mask, ids.data as Int32Array);
    const keep = edit.keep.map((flags, scale) => (scale < keepScales ? flags.map(() => 1) : flags));
    requireTrueTokens(plan, tokenizer.config.latentSide, keep);
    return { ids: ids.data as Int32Array, keep };
  }

  [Symbol.dispose](): void {
    this.#generator[Symbol.dispose]();
  }
}

/** An opened FlowAR: classes and a seed in, pictures out, scale by scale. */
import { z } from "zod";
import { latentsGraph, picturesGraph } from "../../codec/klAutoencoder.ts";
import { asMap, resizePictures } from "../../codec/resize.ts";
import type { LatentCodec } from "../../codec/types.ts";
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { streamNoise } from "../../decoding/flowPaths.ts";
import {
  classGraph,
  conditionsGraph,
  generateScales,
  inputGraph,
  velocityGraph,
} from "../../decoding/flowScaleGenerator.ts";
import { linspace } from "../../decoding/flowSolvers.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { Weights } from "../../nn/scope.ts";
import type { Scale } from "../../plan/types.ts";
import { KlCodec } from "../../regimen/klCodec.ts";
import { reconstructThrough } from "../../regimen/reconstruct.ts";
import { samplePictures } from "../../regimen/samplePictures.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { floats } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { buildFlowAr } from "./build.ts";
import type { FlowArModelConfig } from "./config.ts";

/** What can be chosen when sampling; code: S 3.3, 0.9; L 1.4, 0.9; H 1.4, 0.7; 25 steps each. */
export const flowArSamplingSchema = z.strictObject({
  cfgScale: z
    .number()
    .min(0)
    .max(100)
    .default(1.4)
    .describe("Guidance t: velocity = (1 + t) conditional - t unconditional; officially written as 1 + t."),
  cfgRamp: z
    .boolean()
    .default(true)
    .describe(
      "Guidance grows from 0 at the first scale to its value at the last; else it is the same for all.",
    ),
  guidanceHigh: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe("Guidance acts at times up to this one; 1 is pure noise."),
  steps: z.int().min(2).max(1000).default(25).describe("Steps of the integration of every scale."),
  grid: z
    .enum(["official", "uniform"])
    .default("official")
    .describe("Times of the steps: half of them above 0.3, or (officially for 50) alike."),
});

export type FlowArSampling = z.infer<typeof flowArSamplingSchema>;

/** code: 50 steps are alike; any other number spends half of them above time 0.3, and an odd one makes one step fewer. */
export function officialTimes(steps: number): number[] {
  if (steps === 50) return linspace(1, 0, 51);
  const half = Math.floor(steps / 2);
  return [...linspace(1, 0.3, half), ...linspace(0.25, 0, half + 1)];
}

/** Falling times of one integration. */
export const timesOf = ({ steps, grid }: Pick<FlowArSampling, "steps" | "grid">): number[] =>
  grid === "uniform" ? linspace(1, 0, steps + 1) : officialTimes(steps);

export class FlowArModel implements ImageModel {
  readonly description: ModelDescription;
  readonly graphs;
  readonly #networks: ReturnType<typeof buildFlowAr>;
  readonly #programs: ProgramStore;
  readonly #codec: LatentCodec;
  readonly #own: KlCodec | undefined;

  /** `codec` replaces the model's own autoencoder; it must give maps of the same width and side. */
  constructor(
    description: ModelDescription,
    config: FlowArModelConfig,
    weights: Weights,
    device: Device,
    codec?: LatentCodec,
  ) {
    const networks = buildFlowAr(config);
    this.description = description;
    this.#networks = networks;
    this.#programs = new ProgramStore(weights, device);
    this.#own = codec ? undefined : new KlCodec(networks.codec, weights, device);
    this.#codec = codec ?? (this.#own as KlCodec); // one of them is there
    const { model } = networks;
    this.graphs = {
      encode: () => latentsGraph(networks.codec),
      decode: () => picturesGraph(networks.codec),
      class: () => classGraph(model),
      conditions: () => conditionsGraph(model),
      input: () => inputGraph(model),
      velocity: () => velocityGraph(model),
    };
  }

  async *sample(request: SampleRequest): AsyncGenerator<SampleEvent> {
    const { steps, grid, ...options } = flowArSamplingSchema.parse(request.options);
    if (request.edit)
      throw new NextxError("EDIT_NOT_POSSIBLE", "Continuous latents have no tokens to keep.", {
        path: "edit",
      });
    const { model } = this.#networks;
    yield* samplePictures(request, {
      plan: model.plan,
      nullLabel: model.conditioner.nullLabel,
      imageSize: this.description.imageSize,
      generate: (labels, streams) => {
        const settings = {
          ...options,
          times: timesOf({ steps, grid }),
          ...(request.signal && { signal: request.signal }),
        };
        checkLabels(labels, model.conditioner);
        const { initial } = streamNoise(model.valueWidth, streams);
        const noiseOf = (scale: Scale) =>
          floats(initial(scale), [labels.length, scale.size, model.valueWidth]);
        return generateScales(model, this.#programs, labels, settings, noiseOf);
      },
      decode: ({ values }) => this.#codec.decode(resizePictures(asMap(values), model.side)),
    });
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return reconstructThrough(this.#codec, pixels, signal);
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
    this.#own?.[Symbol.dispose]();
  }
}

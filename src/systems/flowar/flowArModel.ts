/** An opened FlowAR: classes and a seed in, pictures out, scale by scale. */
import { z } from "zod";
import { klRoundTripGraph, latentsGraph, picturesGraph } from "../../codec/klAutoencoder.ts";
import { bicubicMatrix } from "../../codec/resize.ts";
import type { LatentCodec } from "../../codec/types.ts";
import { linspace } from "../../decoding/flowSolvers.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { Weights } from "../../nn/scope.ts";
import { KlCodec } from "../../regimen/klCodec.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import { samplePictures } from "../../regimen/samplePictures.ts";
import type { ImageModel, ModelDescription, SampleEvent, SampleRequest } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { buildFlowAr } from "./build.ts";
import type { FlowArModelConfig } from "./config.ts";
import {
  asMap,
  classGraph,
  conditionsGraph,
  generateScales,
  inputGraph,
  officialTimes,
  type ScaleResult,
  velocityGraph,
} from "./generate.ts";
import type { FlowAr } from "./model.ts";

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

/** Falling times of one integration. */
export const timesOf = ({ steps, grid }: Pick<FlowArSampling, "steps" | "grid">): number[] =>
  grid === "uniform" ? linspace(1, 0, steps + 1) : officialTimes(steps);

/** A scale's map [B, N, Z] at the finest side, [B, Z, P, P]: what it would be if no detail were added. */
function enlarged({ side }: FlowAr, { group, values }: ScaleResult): Value {
  const map = asMap(values);
  if (group.side === side) return map;
  const matrix = bicubicMatrix(group.side, side);
  const [batch = 0, width = 0] = map.shape;
  const [from, to] = [group.size, side * side];
  const out = new Float32Array(batch * width * to);
  for (let row = 0; row < batch * width; row++)
    for (let i = 0; i < from; i++)
      for (let j = 0; j < to; j++)
        out[row * to + j] =
          (out[row * to + j] as number) +
          (map.data[row * from + i] as number) * (matrix[i * to + j] as number); // in range
  return floats(out, [batch, width, side, side]);
}

export class FlowArModel implements ImageModel {
  readonly description: ModelDescription;
  readonly graphs;
  readonly #networks: ReturnType<typeof buildFlowAr>;
  readonly #programs: ProgramStore;
  readonly #codec: LatentCodec;
  readonly #own: KlCodec | undefined;
  readonly #weights: Weights;
  readonly #device: Device;

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
    this.#weights = weights;
    this.#device = device;
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
    const { latentWidth } = model.config;
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
        return generateScales(model, this.#programs, labels, settings, ({ size }) => {
          const noise = new Float32Array(labels.length * size * latentWidth);
          for (const [b, stream] of streams.entries())
            noise.set(stream.normals(size * latentWidth), b * size * latentWidth);
          return floats(noise, [labels.length, size, latentWidth]);
        });
      },
      decode: (result) => this.#codec.decode(enlarged(model, result)),
    });
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const trip = { graph: klRoundTripGraph(this.#networks.codec), weights: this.#weights };
    return reconstructPictures(trip, pixels, this.description.imageSize, this.#device, signal);
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
    this.#own?.[Symbol.dispose]();
  }
}

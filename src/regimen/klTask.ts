/**
 * Training a KL autoencoder: pixels, a small divergence, a perceptual distance where asked for; the scale of its latents is
 * measured on the way. inferred: the authors of FlowAR and xAR take MAR's trained autoencoder; the terms are latent
 * diffusion's without its adversary, and weights are per number, not per picture.
 */
import { drawLatents, type KlAutoencoder, klDivergence, scaleName } from "../codec/klAutoencoder.ts";
import type { Loader } from "../data/loader.ts";
import type { PerceptualLoss } from "../nn/perceptual.ts";
import type { Scope, Weights } from "../nn/scope.ts";
import type { Graph } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { symbol } from "../tensor/dims.ts";
import { abs, add, mul, square, sub } from "../tensor/ops/elementwise.ts";
import { mean } from "../tensor/ops/neural.ts";
import { type RandomState, RandomStream } from "../tensor/random.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import { type Objective, trainingGraph } from "./objective.ts";
import type { AfterStep, Json, Metrics, TrainingTask } from "./trainer.ts";

export interface KlLossWeights {
  readonly l1: number;
  readonly l2: number;
  /** Of the divergence in nats per latent number. */
  readonly kl: number;
  readonly perceptual: number;
}

/** Training graph. Inputs: images [B, 3, S, S], noise [B, C, P, P]. */
export function klTraining(
  scope: Scope,
  codec: KlAutoencoder,
  weights: KlLossWeights,
  perceptual?: PerceptualLoss,
): Graph {
  const { inChannels, zChannels, latentSide } = codec.config;
  const B = symbol("B");
  const specs = {
    images: float32(B, inChannels, codec.imageSize, codec.imageSize),
    noise: float32(B, zChannels, latentSide, latentSide),
  };
  return trainingGraph(specs, scope, (inputs): Objective => {
    const [images, noise] = [inputs.images as Tensor, inputs.noise as Tensor]; // declared above
    const posterior = codec.posterior(images);
    const latents = drawLatents(posterior, noise);
    const reconstruction = codec.reconstruct(latents);
    const difference = sub(reconstruction, images);
    const [l1, l2] = [mean(abs(difference)), mean(square(difference))];
    const kl = mul(mean(klDivergence(posterior)), 1 / (zChannels * latentSide * latentSide));
    const pixels = add(mul(l1, weights.l1), mul(l2, weights.l2));
    const base = add(pixels, mul(kl, weights.kl));
    const extra = perceptual?.distance(reconstruction, images);
    return {
      loss: extra === undefined ? base : add(base, mul(extra, weights.perceptual)),
      metrics: { l1, l2, kl, power: mean(square(latents)), ...(extra && { perceptual: extra }) },
    };
  });
}

interface SavedState {
  readonly loader: Json;
  readonly noise: RandomState;
  readonly power: number;
}

/** Share of a new step in the running mean of the latents' squares. */
const freshShare = 0.02;

/** Trains every parameter of an autoencoder on the pictures of a loader. */
export class KlTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters;
  readonly frozen: Weights;
  readonly #codec: KlAutoencoder;
  readonly #prefix: string;
  readonly #loader: Loader;
  #noise: RandomStream;
  #power = 0;

  /** `scope` is the autoencoder's, its parameters named from `prefix` on. */
  constructor(
    scope: Scope,
    prefix: string,
    codec: KlAutoencoder,
    loader: Loader,
    seed: number,
    weights: KlLossWeights,
    perceptual?: PerceptualLoss,
  ) {
    this.graph = klTraining(scope, codec, weights, perceptual);
    void codec.scale; // describing asks for the parameter, which no gradient reaches
    this.parameters = scope.specs;
    this.frozen = perceptual?.weights ?? new Map();
    this.#codec = codec;
    this.#prefix = prefix;
    this.#loader = loader;
    this.#noise = RandomStream.from(seed, "train/posterior");
  }

  async nextBatch() {
    const { images, labels } = this.#loader.next();
    const { inChannels, zChannels, latentSide: p } = this.#codec.config;
    const side = this.#codec.imageSize;
    const shape = [labels.length, zChannels, p, p];
    return {
      images: floats(images, [labels.length, inChannels, side, side]),
      noise: floats(this.#noise.normals(labels.length * zChannels * p * p), shape),
    };
  }

  /** A running mean of the latents' squares becomes the scale. */
  afterStep({ step, outputs, weights }: AfterStep): Metrics {
    const power = outputs["metric:power"]?.data[0] as number; // declared by the objective
    this.#power = step === 1 ? power : this.#power + freshShare * (power - this.#power);
    const scale = weights.get(this.#prefix + scaleName);
    if (scale !== undefined) (scale.data as Float32Array)[0] = 1 / Math.sqrt(this.#power); // weights are float32
    return {};
  }

  saveState(): Json {
    const saved: SavedState = {
      loader: this.#loader.state,
      noise: this.#noise.state,
      power: this.#power,
    };
    return saved as unknown as Json; // plain numbers and records
  }

  restoreState(state: Json): void {
    const saved = state as unknown as SavedState; // written by saveState, hashed by the run folder
    this.#loader.restore(saved.loader);
    this.#noise = RandomStream.restore(saved.noise);
    this.#power = saved.power;
  }
}

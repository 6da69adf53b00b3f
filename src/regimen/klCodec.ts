/** A trained KL autoencoder as a codec of latents in host memory. */
import { type KlAutoencoder, latentsGraph, picturesGraph } from "../codec/klAutoencoder.ts";
import type { LatentCodec, LatentDistribution } from "../codec/types.ts";
import { decodePictures } from "../decoding/decodePictures.ts";
import { ProgramStore } from "../decoding/programStore.ts";
import type { Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import type { Value } from "../runtime/values.ts";

/** Compiled when first used. Dispose when done. */
export class KlCodec implements LatentCodec, Disposable {
  readonly width: number;
  readonly side: number;
  readonly imageSize: number;
  readonly #codec: KlAutoencoder;
  readonly #programs: ProgramStore;

  constructor(codec: KlAutoencoder, weights: Weights, device: Device) {
    this.#codec = codec;
    this.#programs = new ProgramStore(weights, device);
    this.width = codec.config.zChannels;
    this.side = codec.config.latentSide;
    this.imageSize = codec.imageSize;
  }

  async encode(images: Value): Promise<LatentDistribution> {
    const out = await this.#programs.run("encode", () => latentsGraph(this.#codec), { images });
    return { mean: out.mean as Value, deviation: out.deviation as Value }; // the graph's outputs
  }

  decode(latents: Value): Promise<Value> {
    const graph = () => picturesGraph(this.#codec);
    return decodePictures(this.#programs, graph, ["latents", latents], this.imageSize);
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
  }
}

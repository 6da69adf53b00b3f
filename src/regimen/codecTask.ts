/**
 * Training a tokenizer with a codebook. inferred: the authors of scale-wise models published no such code. First codes are
 * drawn from the encoder's own features; usage is watched per group; dead codes are moved next to busy ones until
 * `restartUntil`.
 */
import { CodebookUsage } from "../codec/codebookUsage.ts";
import type { TrainableCodec } from "../codec/types.ts";
import type { Loader } from "../data/loader.ts";
import type { Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import { type RandomState, RandomStream } from "../tensor/random.ts";
import type { AfterStep, Json, Metrics, TrainingTask } from "./trainer.ts";

export interface CodecTaskOptions {
  /** Steps between restarts of dead codes; 0 never restarts. */
  readonly restartEvery: number;
  /** Last step with a restart. */
  readonly restartUntil: number;
  /** A code is dead below this share of uniform use. */
  readonly deadBelow: number;
  readonly seed: number;
}

interface SavedState {
  readonly loader: Json;
  readonly usage: { steps: number; hits: number[] };
  readonly restart: RandomState;
  /** Absent in runs begun before codecs could draw. */
  readonly draws?: RandomState;
}

const batchesForInit = 8;

/** Trains every parameter of a codec on the pictures of a loader. */
export class CodecTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters;
  readonly frozen: Weights;
  readonly #codec: TrainableCodec;
  readonly #loader: Loader;
  readonly #options: CodecTaskOptions;
  readonly #usage: CodebookUsage;
  #sizes: readonly number[] = [];
  #restart: RandomStream;
  #draws: RandomStream;

  /** `frozen` holds weights of networks that only judge. */
  constructor(codec: TrainableCodec, loader: Loader, options: CodecTaskOptions, frozen: Weights = new Map()) {
    this.#codec = codec;
    this.graph = codec.graph;
    this.parameters = codec.parameters;
    this.frozen = frozen;
    this.#loader = loader;
    this.#options = options;
    this.#usage = new CodebookUsage(codec.codebook.vocabSize, Array<number>(codec.groups).fill(0));
    this.#restart = RandomStream.from(options.seed, "train/restart");
    this.#draws = RandomStream.from(options.seed, "train/scales");
  }

  #images(): Value {
    const { images, labels } = this.#loader.next();
    return floats(images, [labels.length, ...this.#codec.pictureShape]);
  }

  async nextBatch() {
    const { values, sizes } = this.#codec.draw(this.#draws);
    this.#sizes = sizes;
    return { images: this.#images(), ...values };
  }

  /** First codes from features of first pictures. */
  async prepare(weights: Weights, device: Device): Promise<void> {
    const { name, vocabSize, width } = this.#codec.codebook;
    const state = this.#loader.state;
    using program = await compile(this.#codec.encode, { device, weights, prepack: false });
    const features: Float32Array[] = [];
    for (let i = 0; i < batchesForInit; i++) {
      const images = this.#images();
      const { features: maps } = await program.run({ images });
      const data = maps?.data as Float32Array; // the graph's output
      const length = data.length / (images.shape[0] ?? 1);
      for (let at = 0; at < data.length; at += length) features.push(data.subarray(at, at + length));
    }
    this.#loader.restore(state);
    const stream = RandomStream.from(this.#options.seed, "train/codebook");
    const codebook = weights.get(name)?.data as Float32Array; // the codec has one
    for (let code = 0; code < vocabSize; code++) {
      const map = features[stream.integer(features.length)] as Float32Array; // at least one picture
      codebook.set(this.#codec.firstCode(map, stream), code * width);
    }
  }

  afterStep({ step, outputs, weights, optimizer }: AfterStep): Metrics {
    const { restartEvery, restartUntil, deadBelow } = this.#options;
    this.#usage.add(outputs["metric:ids"]?.data as Int32Array, this.#sizes); // declared by the objective
    const report = this.#usage.report(deadBelow);
    let restarted = 0;
    if (restartEvery > 0 && step % restartEvery === 0 && step <= restartUntil) {
      const { name, width } = this.#codec.codebook;
      const codebook = weights.get(name)?.data as Float32Array; // the codec has one
      const moved = this.#usage.restart(codebook, this.#restart, deadBelow);
      for (const code of moved) optimizer.forget(name, code * width, (code + 1) * width);
      restarted = moved.length;
    }
    return {
      codebookUsage: report.usage,
      codebookPerplexity: report.perplexity,
      deadCodes: report.deadCodes,
      restarted,
    };
  }

  saveState(): Json {
    const saved: SavedState = {
      loader: this.#loader.state,
      usage: this.#usage.state,
      restart: this.#restart.state,
      draws: this.#draws.state,
    };
    return saved as unknown as Json; // plain numbers, arrays and records
  }

  restoreState(state: Json): void {
    const saved = state as unknown as SavedState; // written by saveState, hashed by the run folder
    this.#loader.restore(saved.loader);
    this.#usage.state = saved.usage;
    this.#restart = RandomStream.restore(saved.restart);
    if (saved.draws) this.#draws = RandomStream.restore(saved.draws);
  }
}

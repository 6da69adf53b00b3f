/**
 * Training VAR's tokenizer, which the authors never released (asked for in nine threads of their repository). inferred: pixel
 * loss plus VQ loss plus an optional perceptual term; first codes are drawn from the encoder's own features; usage is watched
 * per scale; dead codes are moved next to busy ones until `restartUntil`.
 */
import { CodebookUsage } from "../../codec/codebookUsage.ts";
import { areaMatrix } from "../../codec/resize.ts";
import type { Loader } from "../../data/loader.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import type { AfterStep, Json, Metrics, TrainingTask } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import type { Graph } from "../../runtime/trace.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { TokenizerConfig } from "./config.ts";
import { type PerceptualLoss, type TokenizerLossWeights, tokenizerTraining } from "./objective.ts";
import { encodeGraph } from "./programs.ts";
import { VarTokenizer } from "./tokenizer.ts";

export interface TokenizerTaskOptions {
  readonly loss: TokenizerLossWeights;
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
  readonly restart: { key: readonly [number, number]; position: number };
}

/** Parameter prefix of the tokenizer in files that hold both models. */
export const tokenizerPrefix = "vae.";
const codebookName = `${tokenizerPrefix}quantize.embedding.weight`;
const batchesForInit = 8;

/** Trains every parameter of a tokenizer on the pictures of a loader. */
export class TokenizerTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters;
  readonly frozen: Weights;
  readonly tokenizer: VarTokenizer;
  readonly #loader: Loader;
  readonly #options: TokenizerTaskOptions;
  readonly #usage: CodebookUsage;
  #restart: RandomStream;

  constructor(
    config: TokenizerConfig,
    loader: Loader,
    options: TokenizerTaskOptions,
    perceptual?: { readonly loss: PerceptualLoss; readonly weights: Weights },
  ) {
    const scope = Scope.root(tokenizerPrefix);
    this.tokenizer = new VarTokenizer(scope, config);
    this.graph = tokenizerTraining(scope, this.tokenizer, options.loss, perceptual?.loss);
    this.parameters = scope.specs;
    this.frozen = perceptual?.weights ?? new Map();
    this.#loader = loader;
    this.#options = options;
    const sizes = this.tokenizer.plan.groups.map((group) => group.size);
    this.#usage = new CodebookUsage(config.vocabSize, sizes);
    this.#restart = RandomStream.from(options.seed, "train/restart");
  }

  #images(): Value {
    const { images, labels } = this.#loader.next();
    const side = this.tokenizer.imageSize;
    return floats(images, [labels.length, this.tokenizer.config.inChannels, side, side]);
  }

  async nextBatch() {
    return { images: this.#images() };
  }

  /** First codes: features of first pictures, pooled to the side of a random scale, smaller for finer scales. */
  async prepare(weights: Weights, device: Device): Promise<void> {
    const { zChannels, vocabSize } = this.tokenizer.config;
    const { side } = this.tokenizer.vq;
    const state = this.#loader.state;
    using program = await compile(encodeGraph(this.tokenizer), { device, weights, prepack: false });
    const features: Float32Array[] = [];
    for (let i = 0; i < batchesForInit; i++) {
      const { features: maps } = await program.run({ images: this.#images() });
      const data = maps?.data as Float32Array; // the graph's output
      for (let at = 0; at < data.length; at += zChannels * side * side)
        features.push(data.subarray(at, at + zChannels * side * side));
    }
    this.#loader.restore(state);
    const stream = RandomStream.from(this.#options.seed, "train/codebook");
    const scales = this.tokenizer.plan.groups;
    const codebook = weights.get(codebookName)?.data as Float32Array; // the tokenizer has one
    for (let code = 0; code < vocabSize; code++) {
      const map = features[stream.integer(features.length)] as Float32Array; // at least one picture
      const index = stream.integer(scales.length);
      const pool = areaMatrix(side, scales[index]?.side ?? side);
      const sites = pool.length / (side * side);
      const site = stream.integer(sites);
      for (let c = 0; c < zChannels; c++) {
        let mean = 0;
        for (let i = 0; i < side * side; i++)
          mean += (map[c * side * side + i] as number) * (pool[i * sites + site] as number); // in range
        codebook[code * zChannels + c] = mean * (1 - index / scales.length);
      }
    }
  }

  afterStep({ step, outputs, weights, optimizer }: AfterStep): Metrics {
    const { restartEvery, restartUntil, deadBelow } = this.#options;
    this.#usage.add(outputs["metric:ids"]?.data as Int32Array); // declared by the objective
    const report = this.#usage.report(deadBelow);
    let restarted = 0;
    if (restartEvery > 0 && step % restartEvery === 0 && step <= restartUntil) {
      const codebook = weights.get(codebookName)?.data as Float32Array; // the tokenizer has one
      const { zChannels } = this.tokenizer.config;
      const moved = this.#usage.restart(codebook, this.#restart, deadBelow);
      for (const code of moved) optimizer.forget(codebookName, code * zChannels, (code + 1) * zChannels);
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
    };
    return saved as unknown as Json; // plain numbers, arrays and records
  }

  restoreState(state: Json): void {
    const saved = state as unknown as SavedState; // written by saveState, hashed by the run folder
    this.#loader.restore(saved.loader);
    this.#usage.state = saved.usage;
    this.#restart = RandomStream.restore(saved.restart);
  }
}

/**
 * VAR's generation, scale by scale. Source: `autoregressive_infer_cfg` (code) and section 3. Its own: guidance ramped from 0
 * at the first scale, the accumulated reconstruction as the next input, and smooth mode.
 */
import type { MultiScaleTokenizer } from "../../codec/multiScaleTokenizer.ts";
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { type ChoiceRules, chooseTokens } from "../../decoding/chooseTokens.ts";
import { type GroupResult, generateGroups } from "../../decoding/groupGenerator.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { ChoiceSite, KeptTokens } from "../../decoding/types.ts";
import { categorical, checkSampling, gumbelMixture, type SamplingOptions } from "../../head/categorical.ts";
import type { Weights } from "../../nn/scope.ts";
import type { Scale } from "../../plan/types.ts";
import { decodeFeatures, startScales } from "../../regimen/scaleSteps.ts";
import type { Device } from "../../runtime/device.ts";
import type { Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { RandomStream } from "../../tensor/random.ts";
import type { VarTransformer } from "./model.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Final guidance weight t: logits = (1 + t) conditional - t unconditional, ramped from 0 at the first scale. */
  readonly cfgScale: number;
  /** Visualisation mode: codes are Gumbel-softmax mixtures. */
  readonly smooth: boolean;
  readonly edit?: KeptTokens;
  readonly signal?: AbortSignal;
}

/** One committed scale, with the running reconstruction of the features [B, C, P, P]. */
export interface ScaleResult extends GroupResult<Scale> {
  readonly total: Value;
}

/** Where random numbers come from: uniform draws per token, exponentials for smooth mode. */
export interface GenerateNoise {
  /** One stream per picture, so that a picture does not depend on its batch. */
  readonly streams: readonly RandomStream[];
  /** Recorded exponential draws [B, L, V] for smooth mode instead of the streams. */
  readonly exponential?: Float32Array;
}

/** Compiled programs of one VAR; guidance programs are compiled when first used. Dispose when done. */
export class VarGenerator implements Disposable {
  readonly tokenizer: MultiScaleTokenizer;
  readonly model: VarTransformer;
  readonly #programs: ProgramStore;
  readonly #codebook: Float32Array;

  /** `weights` holds both models' parameters under the names their scopes use; `codebookName` names the codebook. */
  constructor(
    tokenizer: MultiScaleTokenizer,
    model: VarTransformer,
    weights: Weights,
    codebookName: string,
    device: Device,
  ) {
    this.tokenizer = tokenizer;
    this.model = model;
    this.#programs = new ProgramStore(weights, device);
    const codebook = weights.get(codebookName)?.data;
    if (!(codebook instanceof Float32Array)) {
      throw new NextxError("CHECKPOINT_MISSING_TENSOR", "The codebook is missing.", { path: codebookName });
    }
    this.#codebook = codebook;
  }

  /** Pictures in [-1, 1], [B, 3, H, W], from features. */
  decode(features: Value): Promise<Value> {
    return decodeFeatures(this.#programs, this.tokenizer, features);
  }

  /** Generates `labels.length` pictures; yields after every scale. numClasses is the unconditional label. */
  async *generate(
    labels: Int32Array,
    options: GenerateOptions,
    noise: GenerateNoise,
  ): AsyncGenerator<ScaleResult> {
    checkSampling(options);
    checkLabels(labels, this.model.conditioner);
    const { cfgScale, signal } = options;
    if (!Number.isFinite(cfgScale)) {
      throw new NextxError("SAMPLING_BAD_OPTION", `cfgScale must be finite, got ${cfgScale}.`, {
        path: "cfgScale",
      });
    }
    const { tokenizer, model } = this;
    const walk = await startScales(this.#programs, { tokenizer, transformer: model }, labels.length);
    const rules = this.#rules(options, noise);
    const results = generateGroups(model, this.#programs, {
      plan: tokenizer.plan,
      labels,
      nullLabel: model.conditioner.nullLabel,
      guidance: ({ index }: Scale) => cfgScale * this.#progress(index),
      firstPositions: walk.positions(tokenizer.plan.groups[0]),
      choose: (scale, logits) => chooseTokens(rules, scale, logits),
      advance: (scale, { codes }) => walk.advance(scale, codes),
      ...(signal && { signal }),
    });
    for await (const result of results) yield { ...result, total: walk.total };
  }

  /** 0 at the first scale, 1 at the last. */
  #progress(index: number): number {
    const last = this.tokenizer.plan.groups.length - 1;
    return last === 0 ? 0 : index / last;
  }

  #rules(options: GenerateOptions, { streams, exponential }: GenerateNoise): ChoiceRules<Scale> {
    const { plan, config } = this.tokenizer;
    const { vocabSize } = this.model;
    const mix = (row: Float32Array, site: ChoiceSite<Scale>, stream: RandomStream): Float32Array => {
      const at = (site.picture * plan.length + site.position) * vocabSize;
      const recorded = exponential?.subarray(at, at + vocabSize);
      return this.#smoothCode(row, site.group, options, recorded ?? stream.exponentials(vocabSize));
    };
    return {
      plan,
      codebook: this.#codebook,
      width: config.zChannels,
      streams,
      draw: (row, _, stream) => categorical.sample(row, options, stream),
      ...(options.smooth && { mix }),
      ...(options.edit && { edit: options.edit }),
    };
  }

  /** A mixture of codes. Source: code, `more_smooth` (temperature and sharpness by scale). */
  #smoothCode(
    row: Float32Array,
    scale: Scale,
    options: GenerateOptions,
    exponential: Float32Array,
  ): Float32Array {
    const ratio = this.#progress(scale.index);
    const tau = Math.max(0.27 * (1 - ratio * 0.95), 0.005);
    const { ids, weights } = gumbelMixture(row, options, { sharpness: 1 + ratio, tau, exponential });
    const code = new Float32Array(this.tokenizer.config.zChannels);
    ids.forEach((id, k) => {
      for (let c = 0; c < code.length; c++)
        code[c] =
          (code[c] as number) + (weights[k] as number) * (this.#codebook[id * code.length + c] as number);
    });
    return code;
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
  }
}

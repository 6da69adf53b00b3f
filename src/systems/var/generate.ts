/**
 * Cached generation with guidance, scale by scale. Source: `autoregressive_infer_cfg` (code) and section 3.
 * Host-side: sampling, smooth mode, zero-shot editing. Everything else is compiled once and serves every scale.
 */

import { phiAssignment } from "../../codec/multiScaleVq.ts";
import { areaMatrix, bicubicMatrix } from "../../codec/resize.ts";
import { KvCache } from "../../decoding/kvCache.ts";
import { decodeGroups } from "../../decoding/loop.ts";
import {
  categorical,
  checkSampling,
  filteredProbabilities,
  type SamplingOptions,
} from "../../head/categorical.ts";
import type { Weights } from "../../nn/scope.ts";
import type { Scale } from "../../plan/types.ts";
import type { Device } from "../../runtime/device.ts";
import { compile, type Program } from "../../runtime/program.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { RandomStream } from "../../tensor/random.ts";
import type { VarTransformer } from "./model.ts";
import { advanceGraph, cacheNames, decodeGraph, positionsGraph, startGraph, stepGraph } from "./programs.ts";
import type { VarTokenizer } from "./tokenizer.ts";

/** Tokens that an edit must keep. */
export interface EditPlan {
  /** Source tokens, [B * L]. */
  readonly ids: Int32Array;
  /** Per scale, per site: 1 = keep the source token. */
  readonly keep: readonly Uint8Array[];
}

export interface GenerateOptions extends SamplingOptions {
  /** Final guidance weight t: logits = (1 + t) conditional - t unconditional, ramped from 0 at the first scale. */
  readonly cfgScale: number;
  /** Visualisation mode: codes are Gumbel-softmax mixtures. */
  readonly smooth: boolean;
  readonly edit?: EditPlan;
  readonly signal?: AbortSignal;
}

/** One committed scale. */
export interface ScaleResult {
  readonly scale: Scale;
  /** The model's picks [B * N]; with an edit also at kept sites. */
  readonly ids: Int32Array;
  /** What became the past [B * N]: the picks, or the source's tokens at kept sites. */
  readonly tokens: Int32Array;
  /** Guided logits [B, N, V]. */
  readonly logits: Value;
  /** Running reconstruction of the features [B, C, P, P]. */
  readonly total: Value;
}

/** Where random numbers come from: uniform draws per token, exponentials for smooth mode. */
export interface GenerateNoise {
  /** One stream per picture, so that a picture does not depend on its batch. */
  readonly streams: readonly RandomStream[];
  /** Recorded exponential draws [B, L, V] for smooth mode instead of the streams. */
  readonly exponential?: Float32Array;
}

interface Chosen {
  readonly ids: Int32Array;
  readonly tokens: Int32Array;
  readonly codes: Float32Array;
  readonly logits: Value;
  readonly present: readonly Value[];
}

/** Compiled programs of one VAR; guidance programs are compiled when first used. Dispose when done. */
export class VarGenerator implements Disposable {
  readonly tokenizer: VarTokenizer;
  readonly model: VarTransformer;
  readonly #device: Device;
  readonly #weights: Weights;
  readonly #programs = new Map<string, Promise<Program>>();
  readonly #codebook: Float32Array;

  /** `weights` holds both models' parameters under the names their scopes use; `codebookName` names the codebook. */
  constructor(
    tokenizer: VarTokenizer,
    model: VarTransformer,
    weights: Weights,
    codebookName: string,
    device: Device,
  ) {
    this.tokenizer = tokenizer;
    this.model = model;
    this.#weights = weights;
    this.#device = device;
    const codebook = weights.get(codebookName)?.data;
    if (!(codebook instanceof Float32Array)) {
      throw new NextxError("CHECKPOINT_MISSING_TENSOR", "The codebook is missing.", { path: codebookName });
    }
    this.#codebook = codebook;
  }

  #program(name: string, graph: () => Parameters<typeof compile>[0], prepack = true): Promise<Program> {
    const known = this.#programs.get(name);
    if (known) return known;
    const made = compile(graph(), { device: this.#device, weights: this.#weights, prepack });
    this.#programs.set(name, made);
    return made;
  }

  /** Pictures in [-1, 1], [B, 3, H, W], from features. */
  async decode(features: Value): Promise<Value> {
    const program = await this.#program("decode", () => decodeGraph(this.tokenizer));
    return (await program.run({ features })).images as Value; // the graph's output
  }

  /** Generates `labels.length` pictures; yields after every scale. numClasses is the unconditional label. */
  async *generate(
    labels: Int32Array,
    options: GenerateOptions,
    noise: GenerateNoise,
  ): AsyncGenerator<ScaleResult> {
    checkSampling(options);
    this.#checkLabels(labels);
    if (!Number.isFinite(options.cfgScale)) {
      throw new NextxError("SAMPLING_BAD_OPTION", `cfgScale must be finite, got ${options.cfgScale}.`, {
        path: "cfgScale",
      });
    }
    const run = await this.#begin(labels, options, noise);
    for await (const { group, choice } of decodeGroups(this.tokenizer.plan, run, options.signal)) {
      yield { scale: group, ids: choice.ids, tokens: choice.tokens, logits: choice.logits, total: run.total };
    }
  }

  #checkLabels(labels: Int32Array): void {
    const { numClasses } = this.model.config;
    for (const label of labels) {
      if (label < 0 || label > numClasses) {
        throw new NextxError("LABEL_OUT_OF_RANGE", `Class ${label} does not exist: 0 to ${numClasses - 1}.`, {
          path: "class",
        });
      }
    }
  }

  async #begin(labels: Int32Array, options: GenerateOptions, noise: GenerateNoise) {
    const { tokenizer, model } = this;
    const { depth, embedDim, numHeads } = model.config;
    const { nullLabel } = model.conditioner;
    const [batch, side, width] = [labels.length, tokenizer.vq.side, tokenizer.config.zChannels];
    const branches = options.cfgScale === 0 ? 1 : 2;
    const start = await this.#program(`start${branches}`, () => startGraph(model, branches));
    const step = await this.#program(`step${branches}`, () => stepGraph(model, branches));
    const advance = await this.#program("advance", () => advanceGraph(tokenizer, model));
    const table = (await (await this.#program("positions", () => positionsGraph(model))).run({}))
      .positions as Value;
    const rows = branches === 2 ? [...labels, ...labels.map(() => nullLabel)] : [...labels];
    const first = await start.run({ labels: ints(rows, [branches, batch]) });
    const cache = KvCache.empty(depth, branches * batch, numHeads, embedDim / numHeads);
    const names = cacheNames(depth);
    const scales = tokenizer.plan.groups;
    const { ids: phis } = phiAssignment(scales.length, tokenizer.config.shareQuantResi);
    let x = first.x as Value;
    const cacheShape = (value: Value): Value => ({
      data: value.data,
      shape: [branches, batch, ...value.shape.slice(1)],
    });
    const flat = (value: Value): Value => ({
      data: value.data,
      shape: [branches * batch, ...value.shape.slice(2)],
    });
    return {
      total: floats(new Float32Array(batch * width * side * side), [batch, width, side, side]),
      async propose(scale: Scale) {
        const ratio = scales.length === 1 ? 0 : scale.index / (scales.length - 1);
        const past = Object.fromEntries(names.map((name, i) => [name, cacheShape(cache.values[i] as Value)]));
        const guidance = branches === 2 ? { guidance: floats([options.cfgScale * ratio], []) } : {};
        const out = await step.run({
          x,
          layers: first.layers as Value,
          head: first.head as Value,
          ...guidance,
          ...past,
        });
        return { logits: out.logits as Value, present: names.map((name) => flat(out[name] as Value)) };
      },
      choose: async (
        scale: Scale,
        proposal: { logits: Value; present: readonly Value[] },
      ): Promise<Chosen> => ({
        ...this.#choose(scale, proposal.logits, options, noise),
        ...proposal,
      }),
      async commit(scale: Scale, choice: Chosen) {
        cache.commit(choice.present);
        const next = scales[scale.index + 1];
        const [from, to] = [scale.side, next?.side ?? 0];
        const positions = (table.data as Float32Array).subarray(
          (next?.start ?? 0) * embedDim,
          ((next?.start ?? 0) + to * to) * embedDim,
        );
        const out = await advance.run({
          codes: floats(choice.codes, [batch, from * from, width]),
          total: this.total,
          up: floats(bicubicMatrix(from, side), [from * from, side * side]),
          down: floats(next ? areaMatrix(side, to) : new Float32Array(0), [side * side, to * to]),
          phi: ints([phis[scale.index] ?? 0], []),
          positions: floats(positions, [1, to * to, embedDim]),
        });
        this.total = out.total as Value;
        const fresh = out.x as Value;
        const repeated = new Float32Array(fresh.data.length * branches);
        for (let i = 0; i < branches; i++) repeated.set(fresh.data as Float32Array, i * fresh.data.length);
        x = floats(repeated, [branches, batch, to * to, embedDim]);
      },
    };
  }

  #choose(
    scale: Scale,
    logits: Value,
    options: GenerateOptions,
    noise: GenerateNoise,
  ): { ids: Int32Array; tokens: Int32Array; codes: Float32Array } {
    const { vocabSize } = this.model;
    const width = this.tokenizer.config.zChannels;
    const count = logits.data.length / vocabSize;
    const ids = new Int32Array(count);
    const tokens = new Int32Array(count);
    const codes = new Float32Array(count * width);
    for (let site = 0; site < count; site++) {
      const picture = Math.floor(site / scale.size);
      const row = (logits.data as Float32Array).subarray(site * vocabSize, (site + 1) * vocabSize);
      const stream = noise.streams[picture] as RandomStream; // one per picture
      const id = categorical.sample(row, options, stream);
      ids[site] = id;
      const position = scale.start + (site % scale.size);
      const source = this.#keptId(scale, site, options.edit);
      tokens[site] = source ?? id;
      if (source === undefined && options.smooth) {
        const recorded = noise.exponential?.subarray(
          (picture * this.tokenizer.plan.length + position) * vocabSize,
          (picture * this.tokenizer.plan.length + position + 1) * vocabSize,
        );
        this.#smoothCode(
          scale,
          row,
          options,
          recorded ?? stream.exponentials(vocabSize),
          codes.subarray(site * width, (site + 1) * width),
        );
      } else {
        const code = (source ?? id) * width;
        codes.set(this.#codebook.subarray(code, code + width), site * width);
      }
    }
    return { ids, tokens, codes };
  }

  #keptId(scale: Scale, site: number, edit: EditPlan | undefined): number | undefined {
    if (edit === undefined) return undefined;
    const [picture, inside] = [Math.floor(site / scale.size), site % scale.size];
    if (edit.keep[scale.index]?.[inside] !== 1) return undefined;
    return edit.ids[picture * this.tokenizer.plan.length + scale.start + inside];
  }

  /** softmax((logits (1 + ratio) + gumbel) / tau) times the codebook. Source: code, `gumbel_softmax_with_rng`. */
  #smoothCode(
    scale: Scale,
    row: Float32Array,
    options: GenerateOptions,
    exponential: Float32Array,
    out: Float32Array,
  ): void {
    const last = this.tokenizer.plan.groups.length - 1;
    const ratio = last === 0 ? 0 : scale.index / last;
    const tau = Math.max(0.27 * (1 - ratio * 0.95), 0.005);
    const { ids } = filteredProbabilities(row, options.topK, options.topP);
    const scores = Float64Array.from(
      ids,
      (id) => ((row[id] as number) * (1 + ratio) - Math.log(exponential[id] as number)) / tau,
    );
    const best = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const weights = scores.map((score) => Math.exp(score - best));
    const total = weights.reduce((a, b) => a + b, 0);
    ids.forEach((id, k) => {
      const weight = (weights[k] as number) / total;
      for (let c = 0; c < out.length; c++)
        out[c] = (out[c] as number) + weight * (this.#codebook[id * out.length + c] as number);
    });
  }

  [Symbol.dispose](): void {
    for (const program of this.#programs.values()) {
      program.then(
        (made) => made[Symbol.dispose](),
        () => undefined,
      );
    }
    this.#programs.clear();
  }
}

/**
 * HMAR's generation: every scale once by next-scale prediction, then its least confident tokens again by masked prediction,
 * pass by pass. Nothing is cached: the past is in the input. Source: `models/hmar.py` (code); guidance ramps from 0 at the
 * first scale. inferred: masked passes run without guidance (code: with a millionth of it, at twice the work).
 */
import { stepMatrices } from "../../codec/multiScalePrograms.ts";
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { repeat } from "../../decoding/branches.ts";
import { type ChoiceRules, chooseTokens } from "../../decoding/chooseTokens.ts";
import { leastConfident } from "../../decoding/confidence.ts";
import type { GroupResult } from "../../decoding/groupGenerator.ts";
import { aloneGraph } from "../../decoding/groupPrograms.ts";
import { type GroupStart, type GroupStartRequest, startGroups } from "../../decoding/groupStart.ts";
import { decodeGroups, throwIfAborted } from "../../decoding/loop.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { CachedModel, ChosenTokens, KeptTokens } from "../../decoding/types.ts";
import { checkSampling, drawWithConfidence, type SamplingOptions } from "../../head/categorical.ts";
import type { Weights } from "../../nn/scope.ts";
import type { Scale } from "../../plan/types.ts";
import { codebookName } from "../../regimen/multiScaleModel.ts";
import { decodeFeatures, startScales } from "../../regimen/scaleSteps.ts";
import type { Device } from "../../runtime/device.ts";
import { floats, type Value } from "../../runtime/values.ts";
import type { RandomStream } from "../../tensor/random.ts";
import type { HmarNetworks } from "./build.ts";
import { refineGraph } from "./programs.ts";
import { checkSchedule, type RefineSchedule } from "./refineSchedule.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Final guidance weight t: logits = (1 + t) conditional - t unconditional, ramped from 0 at the first scale. */
  readonly cfgScale: number;
  readonly schedule: RefineSchedule;
  readonly edit?: KeptTokens;
  readonly signal?: AbortSignal;
}

/** One committed scale, with the running reconstruction [B, D, P, P] and the flags [B * N] that each masked pass drew again. */
export interface ScaleResult extends GroupResult<Scale> {
  readonly total: Value;
  readonly masked: readonly Uint8Array[];
}

/** What one scale has so far. */
interface Draft extends ChosenTokens {
  readonly confidence: Float64Array;
}

/** Compiled programs of one HMAR. Dispose when done. */
export class HmarGenerator implements Disposable {
  readonly networks: HmarNetworks;
  readonly #programs: ProgramStore;
  readonly #codebook: Float32Array;

  /** `weights` hold all networks' parameters under their names in files. */
  constructor(networks: HmarNetworks, weights: Weights, device: Device) {
    this.networks = networks;
    this.#programs = new ProgramStore(weights, device);
    this.#codebook = weights.get(codebookName)?.data as Float32Array; // checked when it was opened
  }

  /** Pictures in [-1, 1], [B, 3, H, W], from features. */
  decode(features: Value): Promise<Value> {
    return decodeFeatures(this.#programs, this.networks.tokenizer, features);
  }

  /** Generates `labels.length` pictures; yields after every scale. Errors: SAMPLING_, LABEL_, ABORTED. */
  async *generate(
    labels: Int32Array,
    options: GenerateOptions,
    streams: readonly RandomStream[],
  ): AsyncGenerator<ScaleResult> {
    const { tokenizer, nextScale } = this.networks;
    const { plan } = tokenizer;
    checkSampling(options);
    checkLabels(labels, nextScale.conditioner);
    checkSchedule(options.schedule, plan);
    const branches = options.cfgScale === 0 || plan.groups.length === 1 ? 1 : 2;
    const walk = await startScales(this.#programs, { tokenizer, transformer: nextScale }, labels.length);
    const first = walk.positions(plan.groups[0]);
    const start = (model: CachedModel, request: Pick<GroupStartRequest, "name" | "branches">) => {
      const { nullLabel } = nextScale.conditioner;
      return startGroups(model, this.#programs, { ...request, labels, nullLabel, positions: first });
    };
    const started = await start(nextScale, { branches });
    const refining = options.schedule.some((passes) => passes.length > 1)
      ? await start(this.networks.masked, { name: "startMasked", branches: 1 })
      : undefined;
    let x = started.x;
    let masked: Uint8Array[] = [];
    const decoder = {
      propose: async (scale: Scale) => {
        const ramp = plan.groups.length === 1 ? 0 : scale.index / (plan.groups.length - 1);
        return this.#pass(x, started, branches, options.cfgScale * ramp);
      },
      choose: async (scale: Scale, logits: Value): Promise<ChosenTokens> => {
        const draft = this.#draw(scale, logits, options, streams);
        masked = [];
        return refining === undefined
          ? draft
          : this.#refine(scale, draft, x, refining, options, streams, masked);
      },
      commit: async (scale: Scale, { codes }: ChosenTokens) => {
        const next = await walk.advance(scale, codes);
        if (next !== undefined) x = repeat(next, branches);
      },
    };
    for await (const { group, proposal, choice } of decodeGroups(plan, decoder, options.signal)) {
      const { ids, tokens, codes } = choice;
      yield { group, ids, tokens, codes, logits: proposal, total: walk.total, masked };
    }
  }

  /** Guided logits [B, N, V] of next-scale prediction. */
  async #pass(x: Value, { layers, head }: GroupStart, branches: number, guidance: number): Promise<Value> {
    const graph = () => aloneGraph(this.networks.nextScale, branches);
    const inputs = { x, layers, head, ...(branches === 2 && { guidance: floats([guidance], []) }) };
    return (await this.#programs.run(`pass${branches}`, graph, inputs)).logits as Value; // the graph's output
  }

  /** Tokens of a scale from logits [B, N, V]; with a draft only its masked sites are drawn again. */
  #draw(
    scale: Scale,
    logits: Value,
    options: GenerateOptions,
    streams: readonly RandomStream[],
    again?: { readonly draft: Draft; readonly flags: Uint8Array },
  ): Draft {
    const { plan, config } = this.networks.tokenizer;
    const confidence = new Float64Array(streams.length * scale.size);
    const rules: ChoiceRules<Scale> = {
      plan,
      codebook: this.#codebook,
      width: config.zChannels,
      streams,
      draw: (row, { picture, position }, stream) => {
        const at = picture * scale.size + position - scale.start;
        if (again?.flags[at] === 0) {
          confidence[at] = again.draft.confidence[at] as number; // same sites
          return again.draft.ids[at] as number;
        }
        const drawn = drawWithConfidence(row, options, stream);
        confidence[at] = drawn.confidence;
        return drawn.id;
      },
      ...(options.edit && { edit: options.edit }),
    };
    return { ...chooseTokens(rules, scale, logits), confidence };
  }

  /**
   * Masked passes over one scale; pushes the flags of each to `masked`. What an edit keeps is never masked: it is what the
   * rest is drawn from, and passes draw their shares of the sites that are free. Errors: ABORTED, between passes.
   */
  async #refine(
    scale: Scale,
    first: Draft,
    x: Value,
    { layers, head }: GroupStart,
    options: GenerateOptions,
    streams: readonly RandomStream[],
    masked: Uint8Array[],
  ): Promise<Draft> {
    const { tokenizer, masked: model } = this.networks;
    const [batch, width] = [streams.length, model.width];
    const input = floats((x.data as Float32Array).subarray(0, batch * scale.size * width), [
      batch,
      scale.size,
      width,
    ]);
    const passes = options.schedule[scale.index] ?? [];
    const free =
      options.edit?.keep[scale.index]?.map((kept) => 1 - kept) ?? new Uint8Array(scale.size).fill(1);
    const share = free.reduce((sum, flag) => sum + flag, 0) / scale.size;
    if (share === 0) return first;
    const { up, down, phi } = stepMatrices(tokenizer, scale, scale);
    let [draft, flags] = [first, repeatFlags(free, batch)];
    for (let pass = 1; pass < passes.length; pass++) {
      throwIfAborted(options.signal);
      const left = passes.slice(pass).reduce((a, b) => a + b, 0);
      flags = leastConfidentSites(draft.confidence, scale.size, Math.ceil(left * share), flags);
      masked.push(flags);
      const out = await this.#programs.run("refine", () => refineGraph(tokenizer, model), {
        ...{ x: input, layers, head, up, down, phi },
        codes: floats(draft.codes, [batch, scale.size, tokenizer.config.zChannels]),
        masked: floats(Float32Array.from(flags), [batch, scale.size]),
      });
      draft = this.#draw(scale, out.logits as Value, options, streams, { draft, flags });
    }
    return draft;
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
  }
}

/** The same flags for every picture: [N] -> [B * N]. */
function repeatFlags(flags: Uint8Array, batch: number): Uint8Array {
  const out = new Uint8Array(flags.length * batch);
  for (let b = 0; b < batch; b++) out.set(flags, b * flags.length);
  return out;
}

/** The least confident sites of every picture, among the flagged ones: [B * N] flags. */
function leastConfidentSites(
  confidence: Float64Array,
  size: number,
  count: number,
  among: Uint8Array,
): Uint8Array {
  const flags = new Uint8Array(confidence.length);
  for (let at = 0; at < flags.length; at += size) {
    const own = among.subarray(at, at + size);
    flags.set(leastConfident(confidence.subarray(at, at + size), size, count, own), at);
  }
  return flags;
}

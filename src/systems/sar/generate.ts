/**
 * FlexVAR's generation with any schedule. Source: `autoregressive_infer_cfg` (code). The input of a scale is the bicubic
 * enlargement of the codes before it; only the last scale becomes the picture, any earlier one can be a preview.
 */

import { bicubicMatrix } from "../../codec/resize.ts";
import { poolMatrix } from "../../codec/scaleMatrices.ts";
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { chooseTokens } from "../../decoding/chooseTokens.ts";
import { decodePictures } from "../../decoding/decodePictures.ts";
import { type GroupResult, generateGroups } from "../../decoding/groupGenerator.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { KeptTokens } from "../../decoding/types.ts";
import { categorical, checkSampling, type SamplingOptions } from "../../head/categorical.ts";
import type { Weights } from "../../nn/scope.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import type { Device } from "../../runtime/device.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { RandomStream } from "../../tensor/random.ts";
import type { FlexTransformer } from "./model.ts";
import { advanceGraph, codesGraph, decodeGraph, positionsGraph } from "./programs.ts";
import type { FlexTokenizer } from "./tokenizer.ts";

/** Steps after which the guidance ramp goes on past its end: 10 scales by default (code, `min(S - 1, 9)`). */
const rampSteps = 9;

export interface GenerateOptions extends SamplingOptions {
  /** Weight of guidance, see `guidance`. */
  readonly cfgScale: number;
  /**
   * "ramp": logits = (1 + t) conditional - t unconditional with t = cfgScale s / min(S - 1, 9), and t = cfgScale above
   * `maxSide`. "constant": unconditional + cfgScale (conditional - unconditional) at every scale.
   */
  readonly guidance: "ramp" | "constant";
  /** Largest side that was trained; larger ones are greedy, as are those not in `sampledSides`. */
  readonly maxSide: number;
  readonly edit?: KeptTokens;
  readonly signal?: AbortSignal;
}

/** Guidance t of a scale: logits = (1 + t) conditional - t unconditional. */
export function guidanceOf(
  { index, side }: Scale,
  scales: number,
  { cfgScale, guidance, maxSide }: Pick<GenerateOptions, "cfgScale" | "guidance" | "maxSide">,
): number {
  switch (guidance) {
    case "constant":
      return cfgScale - 1;
    case "ramp":
      if (side > maxSide) return cfgScale;
      return index === 0 ? 0 : (cfgScale * index) / Math.min(scales - 1, rampSteps);
    default:
      return guidance satisfies never;
  }
}

/** Codes of a scale [B * N * C] as a map [B, C, p, p]. */
export function codeMap(codes: Float32Array, batch: number, { size, side }: Scale): Value {
  const width = codes.length / batch / size;
  const map = new Float32Array(codes.length);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < size; i++) {
      for (let c = 0; c < width; c++)
        map[(b * width + c) * size + i] = codes[(b * size + i) * width + c] as number; // in range
    }
  }
  return floats(map, [batch, width, side, side]);
}

/** Compiled programs of one FlexVAR; guidance programs are compiled when first used. Dispose when done. */
export class FlexGenerator implements Disposable {
  readonly tokenizer: FlexTokenizer;
  readonly model: FlexTransformer;
  readonly #programs: ProgramStore;

  /** `weights` holds both models' parameters under the names their scopes use. */
  constructor(tokenizer: FlexTokenizer, model: FlexTransformer, weights: Weights, device: Device) {
    this.tokenizer = tokenizer;
    this.model = model;
    this.#programs = new ProgramStore(weights, device);
  }

  /** Pictures [B, 3, p f, p f] around [-1, 1], not clamped, of a scale's codes. */
  async decode(codes: Float32Array, batch: number, scale: Scale): Promise<Value> {
    const features = codeMap(codes, batch, scale);
    const graph = () => decodeGraph(this.tokenizer);
    const side = scale.side * this.tokenizer.factor;
    return decodePictures(this.#programs, graph, ["features", features], side);
  }

  /** The normalised codebook, row-major [V, codeWidth]. */
  async codes(): Promise<Float32Array> {
    const { codes } = await this.#programs.run("codes", () => codesGraph(this.tokenizer), {});
    return codes?.data as Float32Array; // the graph's output
  }

  async #positions(plan: Plan<Scale>): Promise<(scale: Scale | undefined) => Value> {
    const place = poolMatrix(this.model.config.positionSide, plan);
    const out = await this.#programs.run("positions", () => positionsGraph(this.model), { place });
    const table = out.positions?.data as Float32Array; // the graph's output
    const { width } = this.model;
    return (scale) => {
      const { start = 0, size = 0 } = scale ?? {};
      return floats(table.subarray(start * width, (start + size) * width), [1, size, width]);
    };
  }

  /** Generates `labels.length` pictures; yields after every scale. numClasses is the unconditional label. */
  async *generate(
    labels: Int32Array,
    plan: Plan<Scale>,
    options: GenerateOptions,
    streams: readonly RandomStream[],
  ): AsyncGenerator<GroupResult<Scale>> {
    checkSampling(options);
    checkLabels(labels, this.model.conditioner);
    const { cfgScale, signal, edit } = options;
    if (!Number.isFinite(cfgScale)) {
      throw new NextxError("SAMPLING_BAD_OPTION", `cfgScale must be finite, got ${cfgScale}.`, {
        path: "cfgScale",
      });
    }
    const { tokenizer, model } = this;
    const width = tokenizer.config.codeWidth;
    const positions = await this.#positions(plan);
    const greedy = { ...options, temperature: 0 };
    const rules = {
      plan,
      codebook: await this.codes(),
      width,
      streams,
      draw: (row: Float32Array, { group }: { group: Scale }, stream: RandomStream) =>
        categorical.sample(row, this.#isSampled(group, options) ? options : greedy, stream),
      ...(edit && { edit }),
    };
    yield* generateGroups(model, this.#programs, {
      plan,
      labels,
      nullLabel: model.conditioner.nullLabel,
      guidance: (scale: Scale) => guidanceOf(scale, plan.groups.length, options),
      firstPositions: positions(plan.groups[0]),
      choose: (scale, logits) => chooseTokens(rules, scale, logits),
      advance: async (scale, { codes }) => {
        const next = plan.groups[scale.index + 1];
        if (next === undefined) return undefined;
        const out = await this.#programs.run("advance", () => advanceGraph(tokenizer, model), {
          codes: floats(codes, [labels.length, scale.size, width]),
          next: floats(bicubicMatrix(scale.side, next.side), [scale.size, next.size]),
          positions: positions(next),
        });
        return out.x;
      },
      ...(signal && { signal }),
    });
  }

  #isSampled({ side }: Scale, { maxSide }: GenerateOptions): boolean {
    return side <= maxSide && this.model.config.sampledSides.includes(side);
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
  }
}

/** Cached generation of the next-token baseline: one site per pass, through the same programs as the scale-wise models. */
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { chooseTokens } from "../../decoding/chooseTokens.ts";
import { type GroupResult, generateGroups } from "../../decoding/groupGenerator.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import { categorical, checkSampling, type SamplingOptions } from "../../head/categorical.ts";
import type { Weights } from "../../nn/scope.ts";
import type { Group } from "../../plan/types.ts";
import { codebookName } from "../../regimen/multiScaleModel.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import type { RandomStream } from "../../tensor/random.ts";
import { float32 } from "../../tensor/tensor.ts";
import type { RasterTransformer } from "./model.ts";

export interface RasterOptions extends SamplingOptions {
  /** Guidance t at every token: logits = (1 + t) conditional - t unconditional. */
  readonly cfgScale: number;
  readonly signal?: AbortSignal;
}

/** Codes of a token [B, 1, D] and its successor's position [1, 1, C] -> the next input [B, 1, C]. */
export function nextInputGraph(model: RasterTransformer, codeWidth: number) {
  const specs = { codes: float32(symbol("B"), 1, codeWidth), positions: float32(1, 1, model.width) };
  return trace(specs, ({ codes, positions }) => ({ x: add(model.embed(codes), positions) }));
}

/** Compiled programs of one baseline. Dispose when done. */
export class RasterGenerator implements Disposable {
  readonly model: RasterTransformer;
  readonly #programs: ProgramStore;
  readonly #codebook: Float32Array;
  readonly #codeWidth: number;

  constructor(model: RasterTransformer, codeWidth: number, weights: Weights, device: Device) {
    this.model = model;
    this.#codeWidth = codeWidth;
    this.#programs = new ProgramStore(weights, device);
    this.#codebook = weights.get(codebookName)?.data as Float32Array; // every tokenizer has one
  }

  /** Tokens of `labels.length` pictures, one stream each; yields after every token. Errors: SAMPLING_, LABEL_, ABORTED. */
  async *generate(
    labels: Int32Array,
    options: RasterOptions,
    streams: readonly RandomStream[],
  ): AsyncGenerator<GroupResult<Group>> {
    checkSampling(options);
    checkLabels(labels, this.model.conditioner);
    const { model } = this;
    const { plan, width } = model;
    const out = await this.#programs.run(
      "positions",
      () => trace({}, () => ({ positions: model.positions() })),
      {},
    );
    const table = out.positions?.data as Float32Array; // the graph's output
    const position = (i: number): Value => floats(table.slice(i * width, (i + 1) * width), [1, 1, width]);
    const rules = {
      plan,
      codebook: this.#codebook,
      width: this.#codeWidth,
      streams,
      draw: (row: Float32Array, _: unknown, stream: RandomStream) => categorical.sample(row, options, stream),
    };
    yield* generateGroups(model, this.#programs, {
      plan,
      labels,
      nullLabel: model.conditioner.nullLabel,
      guidance: () => options.cfgScale,
      firstPositions: position(0),
      choose: (group, logits) => chooseTokens(rules, group, logits),
      advance: async ({ index }, { codes }) => {
        if (index + 1 === plan.length) return undefined;
        const next = await this.#programs.run("next", () => nextInputGraph(model, this.#codeWidth), {
          codes: floats(codes, [labels.length, 1, this.#codeWidth]),
          positions: position(index + 1),
        });
        return next.x as Value; // the graph's output
      },
      ...(options.signal && { signal: options.signal }),
    });
  }

  [Symbol.dispose](): void {
    this.#programs[Symbol.dispose]();
  }
}

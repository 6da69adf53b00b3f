/**
 * Autoformer: the whole horizon in one shot from a look-back window. Its own: a trend that runs beside the layers, a norm
 * that removes the mean over time, and auto-correlation whose lags are shared by the batch in training. Source:
 * `models/Autoformer.py` (code); parameter names are the official ones.
 * Time marks are features, or calendar ids as whole numbers: month, day, weekday, hour and, with `freq: "t"`, quarter.
 * Shape letters: B batch, I look-back rows, O horizon rows, J decoder rows (label and horizon), C channels, D width, F marks.
 */
import type { HeadMixer } from "../../mixer/headMixer.ts";
import { SeriesTransformer } from "../../mixer/seriesTransformer.ts";
import { fanInUniform, filled, type Initializer, normal, type Scope, zeros } from "../../nn/scope.ts";
import { circularConv, decompose } from "../../nn/series.ts";
import { positionWaves } from "../../nn/waves.ts";
import { add, maximum, mul, sub } from "../../tensor/ops/elementwise.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { linear } from "../../tensor/ops/linear.ts";
import { gelu, layerNorm, mean } from "../../tensor/ops/neural.ts";
import { broadcastTo, cast, concat, pad, reshape, slice } from "../../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../../tensor/tensor.ts";
import { type AutoformerConfig, calendarOf, calendarRows, marksOf } from "./config.ts";

/** Layer norm with the official parameters, then minus its mean over time: [B, L, D] -> [B, L, D]. */
export function seasonalNorm(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const normed = add(mul(layerNorm(x, 1e-5), weight), bias);
  return sub(normed, mean(normed, [1], true));
}

const waves: Initializer = (_, [rows = 0, width = 0]) => positionWaves(rows, width);

/** True for the names of tables that are not trained (code: `embed: "fixed"`). */
export const isFixed = (name: string): boolean => name.endsWith("_embed.emb.weight");

/** Inputs of one forecast; the decoder's numbers follow from the look-back. */
export interface SeriesWindow {
  /** [B, I, C] */
  readonly past: Tensor;
  /** [B, I, F] */
  readonly pastMarks: Tensor;
  /** Marks of label and horizon rows, [B, J, F]. */
  readonly futureMarks: Tensor;
}

export class Autoformer {
  readonly config: AutoformerConfig;
  readonly #scope: Scope;

  constructor(scope: Scope, config: AutoformerConfig) {
    this.#scope = scope;
    this.config = config;
  }

  /** Marks per step. */
  get marks(): number {
    return marksOf(this.config);
  }

  /** [B, O, C]; `mixer` is auto-correlation, its lags `ownLags` to forecast and `sharedLags` to train. */
  forecast({ past, pastMarks, futureMarks }: SeriesWindow, mixer: HeadMixer): Tensor {
    const { contextLength, labelLength, predictionLength, window } = this.config;
    const { seasonal, trend } = decompose(past, window);
    const label = (x: Tensor) => slice(x, 1, contextLength - labelLength, contextLength);
    const [batch, channels] = [dimOf(past, 0), dimOf(past, 2)];
    const average = broadcastTo(mean(past, [1], true), [batch, predictionLength, channels]);
    const trendStart = concat([label(trend), average], 1); // (B, J, C)
    const seasonalStart = pad(label(seasonal), 1, 0, predictionLength);

    const transformer = this.#transformer(mixer);
    const memory = transformer.encode(this.#embed("enc_embedding", past, pastMarks));
    const { output, trends } = transformer.decode(
      this.#embed("dec_embedding", seasonalStart, futureMarks),
      memory,
    );
    const total = trends.reduce((a, b) => add(a, b), trendStart);
    return slice(add(total, output), 1, labelLength, labelLength + predictionLength);
  }

  #transformer(mixer: HeadMixer): SeriesTransformer {
    const { factor: _, window, activation, ...sizes } = this.config;
    return new SeriesTransformer(this.#scope, sizes, {
      encoderMixer: mixer,
      selfMixer: mixer,
      crossMixer: mixer,
      activation: (x) => (activation === "gelu" ? gelu(x, "none") : maximum(x, 0)),
      settle: (_, x) => {
        const { seasonal, trend } = decompose(x, window);
        return { x: seasonal, trend };
      },
      finish: (scope, x) => {
        const width = staticDim(dimOf(x, 2), "A norm");
        const norm = scope.in("layernorm");
        return seasonalNorm(x, norm.param("weight", [width], filled(1)), norm.param("bias", [width], zeros));
      },
    });
  }

  /** Values and time marks, each through a layer without bias; no position embedding. */
  #embed(name: string, x: Tensor, marks: Tensor): Tensor {
    const { embedDim } = this.config;
    const scope = this.#scope.in(name);
    const fanIn = 3 * staticDim(dimOf(x, 2), "An embedding");
    const token = scope.in("value_embedding", "tokenConv");
    const values = circularConv(token, x, embedDim, normal(Math.sqrt(2 / fanIn))); // code: kaiming normal
    return add(values, this.#embedTime(scope.in("temporal_embedding"), marks));
  }

  /** Time features through a layer, or a row of each calendar table, summed: [B, L, F] -> [B, L, D]. */
  #embedTime(scope: Scope, marks: Tensor): Tensor {
    const { embedDim, embed } = this.config;
    const calendar = calendarOf(this.config);
    if (calendar.length === 0)
      return linear(marks, scope.in("embed").param("weight", [embedDim, this.marks], fanInUniform));
    const rows = calendar.map((unit, column) => {
      const at = scope.in(`${unit}_embed`);
      const size = [calendarRows[unit], embedDim];
      const table =
        embed === "fixed" ? at.in("emb").param("weight", size, waves) : at.param("weight", size, normal(1));
      const ids = cast(slice(marks, 2, column, column + 1), "int32"); // (B, L, 1), towards zero
      return gatherRows(table, reshape(ids, [dimOf(marks, 0), dimOf(marks, 1)]));
    });
    return rows.reduce((a, b) => add(a, b));
  }
}

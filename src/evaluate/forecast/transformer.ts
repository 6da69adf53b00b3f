/**
 * The vanilla transformer as a one-shot forecaster: dot-product attention, layer norms, positions; what Autoformer is
 * compared with. Source: thuml/Autoformer `models/Transformer.py` (code); no dropout, layers without bias in the
 * feed-forward part, both as in the skeleton that is shared with Autoformer.
 * Shape letters: B batch, I look-back, O horizon, J decoder rows, C channels, D width, F marks.
 */
import { markCount } from "../../data/series/marks.ts";
import { causalAttention, fullAttention } from "../../mixer/dotProduct.ts";
import { SeriesTransformer, type Settled } from "../../mixer/seriesTransformer.ts";
import { fanInUniform, filled, normal, Scope, zeros } from "../../nn/scope.ts";
import { circularConv, decompose } from "../../nn/series.ts";
import { positionWaves } from "../../nn/waves.ts";
import type { SeriesShape } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { add, mul } from "../../tensor/ops/elementwise.ts";
import { linear } from "../../tensor/ops/linear.ts";
import { layerNorm } from "../../tensor/ops/neural.ts";
import { pad, slice } from "../../tensor/ops/structure.ts";
import { constant, dimOf, staticDim, type Tensor } from "../../tensor/tensor.ts";
import { type ForecastInputs, type ForecastShape, squaredErrorTrainee } from "./squaredError.ts";

export interface TransformerSizes {
  readonly embedDim: number;
  readonly numHeads: number;
  readonly feedForwardDim: number;
  readonly encoderDepth: number;
  readonly decoderDepth: number;
}

function embed(scope: Scope, x: Tensor, marks: Tensor | undefined, width: number): Tensor {
  const [length, channels] = [staticDim(dimOf(x, 1), "A series"), staticDim(dimOf(x, 2), "A series")];
  const token = scope.in("value_embedding", "tokenConv");
  const values = add(
    circularConv(token, x, width, normal(Math.sqrt(2 / (3 * channels)))),
    constant(positionWaves(length, width), [1, length, width]),
  );
  if (marks === undefined) return values;
  const count = staticDim(dimOf(marks, 2), "Time marks");
  const time = scope.in("temporal_embedding", "embed").param("weight", [width, count], fanInUniform);
  return add(values, linear(marks, time));
}

function norm(scope: Scope, x: Tensor): Tensor {
  const width = staticDim(dimOf(x, 2), "A norm");
  const [weight, bias] = [scope.param("weight", [width], filled(1)), scope.param("bias", [width], zeros)];
  return add(mul(layerNorm(x, 1e-5), weight), bias);
}

/** The forecasting function with its parameters under `scope`. */
function transformerForecast(
  scope: Scope,
  { contextLength, predictionLength, labelLength, channels }: ForecastShape,
  sizes: TransformerSizes,
): (inputs: ForecastInputs) => Tensor {
  const layers = new SeriesTransformer(
    scope,
    { ...sizes, outputs: channels },
    {
      encoderMixer: fullAttention,
      selfMixer: causalAttention,
      crossMixer: fullAttention,
      settle: (at, x): Settled => ({ x: norm(at, x) }),
      finish: norm,
    },
  );
  return ({ past, pastMarks, futureMarks }) => {
    const start = pad(slice(past, 1, contextLength - labelLength, contextLength), 1, 0, predictionLength);
    const memory = layers.encode(embed(scope.in("enc_embedding"), past, pastMarks, sizes.embedDim));
    const decoder = embed(scope.in("dec_embedding"), start, futureMarks, sizes.embedDim);
    return slice(layers.decode(decoder, memory).output, 1, labelLength, labelLength + predictionLength);
  };
}

export function vanillaTransformer(shape: ForecastShape, sizes: TransformerSizes): SeriesTrainee {
  const scope = Scope.root();
  return squaredErrorTrainee(scope, shape, transformerForecast(scope, shape, sizes));
}

/** The layers of the small Autoformer. */
export const smallTransformerSizes: TransformerSizes = {
  embedDim: 32,
  numHeads: 4,
  feedForwardDim: 64,
  encoderDepth: 2,
  decoderDepth: 1,
};

/** A transformer's view of windows: their time marks, and half a look-back for the decoder to start with. */
export const transformerShape = (shape: SeriesShape) => ({
  ...shape,
  marks: markCount(shape.frequency),
  labelLength: Math.floor(shape.contextLength / 2),
});

/** Beside the small forms of our systems: as many layers and channels, plain attention. */
export const smallTransformer = (shape: SeriesShape): SeriesTrainee =>
  vanillaTransformer(transformerShape(shape), smallTransformerSizes);

/**
 * Decomposition as pre-processing: one transformer forecasts the seasonal part of the look-back, another its trend (moving
 * average of `window` rows), and the forecasts are added. Source: arXiv 2106.13008, the ablation "Sep".
 */
export function separateTransformers(
  shape: ForecastShape,
  sizes: TransformerSizes,
  window: number,
): SeriesTrainee {
  const scope = Scope.root();
  const part = (name: string) => transformerForecast(scope.in(name), shape, sizes);
  const [ofSeasonal, ofTrend] = [part("seasonal"), part("trend")];
  return squaredErrorTrainee(scope, shape, ({ past, ...marks }) => {
    const { seasonal, trend } = decompose(past, window);
    return add(ofSeasonal({ past: seasonal, ...marks }), ofTrend({ past: trend, ...marks }));
  });
}

/**
 * Linear forecasters, one weight matrix for all channels: DLinear on a moving average and the rest, NLinear on the distance
 * to the last row. Source: "Are Transformers Effective for Time Series Forecasting?" (arXiv 2205.13504), `models/DLinear.py`,
 * `models/NLinear.py` (code), not individual.
 * Shape letters: B batch, I look-back, O horizon, C channels.
 */
import type { WindowSizes } from "../../data/series/types.ts";
import { linear } from "../../nn/layers.ts";
import { type Initializer, Scope, uniform } from "../../nn/scope.ts";
import { decompose } from "../../nn/series.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { add, sub } from "../../tensor/ops/elementwise.ts";
import { slice, transpose } from "../../tensor/ops/structure.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { squaredErrorTrainee } from "./squaredError.ts";

/** A layer over time: [B, I, C] -> [B, O, C]. */
function overTime(scope: Scope, x: Tensor, { contextLength, predictionLength }: WindowSizes): Tensor {
  const bound: Initializer = uniform(1 / Math.sqrt(contextLength));
  const mixed = linear(scope, transpose(x, [0, 2, 1]), predictionLength, { weight: bound, bias: bound });
  return transpose(mixed, [0, 2, 1]);
}

/** Window of DLinear's moving average (code). */
const window = 25;

export function dLinear(sizes: WindowSizes, channels: number): SeriesTrainee {
  const scope = Scope.root();
  return squaredErrorTrainee(scope, { ...sizes, channels, marks: 0, labelLength: 0 }, ({ past }) => {
    const { seasonal, trend } = decompose(past, window);
    return add(
      overTime(scope.in("Linear_Seasonal"), seasonal, sizes),
      overTime(scope.in("Linear_Trend"), trend, sizes),
    );
  });
}

export function nLinear(sizes: WindowSizes, channels: number): SeriesTrainee {
  const scope = Scope.root();
  return squaredErrorTrainee(scope, { ...sizes, channels, marks: 0, labelLength: 0 }, ({ past }) => {
    const last = slice(past, 1, sizes.contextLength - 1, sizes.contextLength);
    return add(overTime(scope.in("Linear"), sub(past, last), sizes), last);
  });
}

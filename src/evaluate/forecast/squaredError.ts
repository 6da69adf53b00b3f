/** Forecasters that learn by mean squared error, from a function over a window. */
import type { WindowSizes } from "../../data/series/types.ts";
import type { Scope } from "../../nn/scope.ts";
import { type Objective, trainingGraph } from "../../regimen/objective.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { trace } from "../../runtime/trace.ts";
import { symbol } from "../../tensor/dims.ts";
import { abs, square, sub } from "../../tensor/ops/elementwise.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { float32, type Tensor } from "../../tensor/tensor.ts";

export interface ForecastShape extends WindowSizes {
  readonly channels: number;
  /** Time marks per row; 0 for a model that reads none. */
  readonly marks: number;
  /** Rows of the look-back that the decoder starts with. */
  readonly labelLength: number;
}

/** What a forecasting function sees; marks are absent where there are none. */
export interface ForecastInputs {
  readonly past: Tensor;
  readonly pastMarks?: Tensor;
  readonly futureMarks?: Tensor;
}

/** A forecaster from its function; `training` may differ from `forecast`. */
export function squaredErrorTrainee(
  scope: Scope,
  shape: ForecastShape,
  forecast: (inputs: ForecastInputs) => Tensor,
  training: (inputs: ForecastInputs) => Tensor = forecast,
): SeriesTrainee {
  const B = symbol("B");
  const { contextLength, predictionLength, labelLength, channels, marks } = shape;
  const specs = {
    past: float32(B, contextLength, channels),
    ...(marks > 0 && {
      pastMarks: float32(B, contextLength, marks),
      futureMarks: float32(B, labelLength + predictionLength, marks),
    }),
  };
  const withTruth = { ...specs, future: float32(B, predictionLength, channels) };
  const graph = trainingGraph(withTruth, scope, (inputs): Objective => {
    const { future, ...window } = inputs as { future: Tensor; past: Tensor }; // declared above
    const error = sub(training(window), future);
    return { loss: mean(square(error)), metrics: { mae: mean(abs(error)) } };
  });
  return {
    parameters: scope.specs,
    labelLength,
    training: graph,
    forecast: trace(specs, (inputs) => ({ forecast: forecast(inputs as ForecastInputs) })), // declared above
  };
}

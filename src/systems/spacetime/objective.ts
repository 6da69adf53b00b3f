/**
 * SpaceTime's three losses (`train/step/informer.py`, code): the horizon in closed loop, the look-back one step on in open
 * loop, and the last layer's next inputs. Each is a root mean square over time per sample and channel, averaged.
 */
import type { Scope } from "../../nn/scope.ts";
import { type Objective, trainingGraph } from "../../regimen/objective.ts";
import { divDims, mulDims, symbol } from "../../tensor/dims.ts";
import { abs, add, mul, sqrt, square, sub } from "../../tensor/ops/elementwise.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { concat, reshape, slice, transpose } from "../../tensor/ops/structure.ts";
import { dimOf, float32, staticDim, type Tensor } from "../../tensor/tensor.ts";
import type { Spacetime } from "./model.ts";

const B = symbol("B");

/** Weights of the horizon's, the look-back's and the next inputs' loss. */
export type LossWeights = readonly [closed: number, open: number, nextInput: number];

/** mean over samples and channels of sqrt(mean over time of (a - b)^2), for [B, T, C]. */
function rootMeanSquare(a: Tensor, b: Tensor): Tensor {
  return mean(sqrt(mean(square(sub(a, b)), [1])));
}

/** Losses of look-back [B, L, P] and horizon [B, O, P]; the first `stateSize - 1` steps of block 0 do not count. */
export function spacetimeLosses(model: Spacetime, past: Tensor, future: Tensor) {
  const { contextLength: length, predictionLength: horizon, blocks } = model.config;
  const first = blocks[0]?.stateSize ?? 1;
  const centre = mean(past, [1], true);
  const { closed, open, predictedInput, input } = model.trainingOutputs(sub(past, centre));
  const truth = concat([past, future], 1);
  const steps = (x: Tensor, from: number, to: number) => slice(x, 1, from, to);
  const forecast = add(closed, centre);
  return {
    forecast,
    closed: rootMeanSquare(forecast, steps(truth, length, length + horizon)),
    open: rootMeanSquare(add(steps(open, first - 1, length), centre), steps(truth, first, length + 1)),
    nextInput: rootMeanSquare(steps(predictedInput, first - 1, length - 1), steps(input, first, length)),
  };
}

/** Channels of [B, L, C] as series of their own, P at a time: [B C / P, L, P]. */
export function apart(x: Tensor, inputs: number): Tensor {
  const [batch, length] = [dimOf(x, 0), dimOf(x, 1)];
  const groups = staticDim(dimOf(x, 2), "A series") / inputs;
  const split = transpose(reshape(x, [batch, length, groups, inputs]), [0, 2, 1, 3]); // (B, C / P, L, P)
  return reshape(split, [mulDims(batch, groups), length, inputs]);
}

/** Back: [B C / P, L, P] -> [B, L, C]. */
export function together(x: Tensor, channels: number): Tensor {
  const [rows, length] = [dimOf(x, 0), dimOf(x, 1)];
  const inputs = staticDim(dimOf(x, 2), "A series");
  const groups = channels / inputs;
  const batch = divDims(rows, groups) ?? rows; // rows are whole batches
  const split = transpose(reshape(x, [batch, groups, length, inputs]), [0, 2, 1, 3]); // (B, L, C / P, P)
  return reshape(split, [batch, length, channels]);
}

export interface SpacetimeTraining {
  readonly weights?: LossWeights;
  /** Channels of the windows; the model's inputs when absent. */
  readonly channels?: number;
}

/** Training graph. Inputs: `past` [B, L, C] and `future` [B, O, C]. Buffers are not trained. */
export function spacetimeTraining(
  scope: Scope,
  model: Spacetime,
  { weights = [1, 1, 1], channels = model.config.inputs }: SpacetimeTraining = {},
) {
  const { contextLength, predictionLength, inputs } = model.config;
  const specs = { past: float32(B, contextLength, channels), future: float32(B, predictionLength, channels) };
  const describe = (x: Readonly<Record<string, Tensor>>): Objective => {
    const windows = x as { [K in keyof typeof specs]: Tensor }; // declared above
    const [past, future] = [apart(windows.past, inputs), apart(windows.future, inputs)];
    const { closed, open, nextInput, forecast } = spacetimeLosses(model, past, future);
    const terms = [closed, open, nextInput].map((term, i) => mul(term, weights[i] ?? 0));
    const error = sub(forecast, future);
    return {
      loss: terms.reduce((a, b) => add(a, b)),
      metrics: { closed, open, nextInput, mse: mean(square(error)), mae: mean(abs(error)) },
    };
  };
  return trainingGraph(specs, scope, describe, (name) => !model.isBuffer(name));
}

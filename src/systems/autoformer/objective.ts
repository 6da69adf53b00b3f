/** Mean squared error of the horizon (`exp/exp_main.py`, code: features M, all channels). */
import type { HeadMixer } from "../../mixer/headMixer.ts";
import type { Scope } from "../../nn/scope.ts";
import { type Objective, trainingGraph } from "../../regimen/objective.ts";
import { symbol } from "../../tensor/dims.ts";
import { abs, square, sub } from "../../tensor/ops/elementwise.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { float32, type Tensor, type TensorSpec } from "../../tensor/tensor.ts";
import type { AutoformerConfig } from "./config.ts";
import { type Autoformer, isFixed } from "./model.ts";

const B = symbol("B");

/** Inputs of a forecast: `past` [B, I, C], `pastMarks` [B, I, F], `futureMarks` [B, J, F]. */
export function windowSpecs({ config, marks }: Autoformer) {
  const { contextLength, labelLength, predictionLength, channels } = config satisfies AutoformerConfig;
  return {
    past: float32(B, contextLength, channels),
    pastMarks: float32(B, contextLength, marks),
    futureMarks: float32(B, labelLength + predictionLength, marks),
  } satisfies Record<string, TensorSpec>;
}

/** Training graph. Inputs: those of a forecast and `future` [B, O, C], also where one output is added to all trends. */
export function autoformerTraining(scope: Scope, model: Autoformer, mixer: HeadMixer) {
  const { predictionLength, channels } = model.config;
  const specs = { ...windowSpecs(model), future: float32(B, predictionLength, channels) };
  const describe = (inputs: Readonly<Record<string, Tensor>>): Objective => {
    const { past, pastMarks, futureMarks, future } = inputs as { [K in keyof typeof specs]: Tensor }; // declared above
    const error = sub(model.forecast({ past, pastMarks, futureMarks }, mixer), future);
    const loss = mean(square(error));
    return { loss, metrics: { mae: mean(abs(error)) } };
  };
  return trainingGraph(specs, scope, describe, (name) => !isFixed(name));
}

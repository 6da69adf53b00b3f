/**
 * xAR's objective: the squared error of the velocity, the mean over everything, every entity at a time of its own.
 * Source: `models/xar.py` (code). Shape letters: B batch, L sites, G entities, D numbers per site, T conditions.
 */
import { type TrainingOrder, trainingOrder } from "../../context/noisyPast.ts";
import type { NoisyPast } from "../../context/types.ts";
import {
  flowLoss,
  logitNormalTime,
  meanWeights,
  onPath,
  overSites,
  pathVelocity,
} from "../../head/flowMatching.ts";
import type { Scope } from "../../nn/scope.ts";
import { timeFeatures, timeId, timeWaves } from "../../nn/timeEmbedding.ts";
import { arrangeAll } from "../../plan/entities.ts";
import type { Plan } from "../../plan/types.ts";
import type { LatentBatch } from "../../regimen/latentTask.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { concat, slice } from "../../tensor/ops/structure.ts";
import { float32, int32, type Tensor } from "../../tensor/tensor.ts";
import type { XarTransformer } from "./model.ts";

/** Labels [B], latents and noise [B, L, D] in the plan's order, times [B, L, 1], waves [B, T, 256]. */
export function flowSpecs({ plan, valueWidth }: XarTransformer, past: NoisyPast) {
  const B = symbol("B");
  const values = float32(B, plan.length, valueWidth);
  const waves = float32(B, trainingOrder(past, plan).conditions, timeWaves);
  return { labels: int32(B), latents: values, noise: values, times: float32(B, plan.length, 1), waves };
}

/** Times [B * G] of entities as the graph takes them; a clean copy has time 0. */
export function timeValues(plan: Plan, past: NoisyPast, times: Float32Array): Record<string, Value> {
  const count = plan.groups.length;
  const batch = times.length / count;
  const { conditions } = trainingOrder(past, plan);
  const ids = Array.from({ length: batch }, (_, b) => [
    ...Array<number>(conditions - count).fill(0),
    ...Array.from(times.subarray(b * count, (b + 1) * count), timeId),
  ]);
  return {
    times: floats(overSites(times, plan), [batch, plan.length, 1]),
    waves: floats(timeFeatures(ids.flat()), [batch, conditions, timeWaves]),
  };
}

/** What a step takes: latents in the plan's order, noise, and the times that a past gives them. */
export function stepValues(
  { plan, valueWidth }: XarTransformer,
  past: NoisyPast,
  { labels, latents, stream }: LatentBatch,
): Record<string, Value> {
  const batch = labels.length;
  const shape = [batch, plan.length, valueWidth];
  const arranged = arrangeAll(plan, latents.data as Float32Array, batch); // latents are float32
  const times = Array.from({ length: batch }, () =>
    past.times(plan.groups.map(() => logitNormalTime(stream))),
  );
  return {
    labels: ints(labels, [batch]),
    latents: floats(arranged, shape),
    noise: floats(stream.normals(arranged.length), shape),
    ...timeValues(plan, past, Float32Array.from(times.flat())),
  };
}

/** Velocities [B, L, D] of the noisy entities, the encoder's output for them, losses and their mean. */
export function flowObjective(
  model: XarTransformer,
  past: NoisyPast,
  inputs: Readonly<Record<string, Tensor>>,
) {
  const get = (name: string) => inputs[name] as Tensor; // declared by `flowSpecs`
  const [latents, noise] = [get("latents"), get("noise")];
  const { plan } = model;
  const order: TrainingOrder = trainingOrder(past, plan);
  const noisy = onPath(latents, noise, get("times"));
  const x = order.clean === 0 ? noisy : concat([slice(latents, 1, 0, order.clean), noisy], 1);
  const whole = model.whole(order, x, get("labels"), get("waves"));
  const ofNoisy = (y: Tensor) => (order.clean === 0 ? y : slice(y, 1, order.clean, order.length));
  const [velocity, encoded] = [ofNoisy(whole.velocity), ofNoisy(whole.encoded)];
  const losses = flowLoss(velocity, pathVelocity(latents, noise), plan, meanWeights(plan));
  return { velocity, encoded, ...losses };
}

/** Training graph over `flowSpecs`; the metric is the loss of each entity. */
export function flowTraining(scope: Scope, model: XarTransformer, past: NoisyPast) {
  return trainingGraph(flowSpecs(model, past), scope, (inputs) => {
    const { loss, groupLosses } = flowObjective(model, past, inputs);
    return { loss, metrics: { entityLoss: groupLosses } };
  });
}

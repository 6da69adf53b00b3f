/**
 * Flow matching of every scale at a time of its own, weighted by the scale's share of the finest map.
 * Source: `models/flowloss.py`, `models/flowar.py` (code). Shape letters: B batch, K scales, L sites, Z numbers per site.
 */
import { flowLoss, onPath, pathVelocity, uniformTime } from "../../head/flowMatching.ts";
import type { Scope } from "../../nn/scope.ts";
import { timeFeatures, timeId, timeWaves } from "../../nn/timeEmbedding.ts";
import type { LatentBatch } from "../../regimen/latentTask.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { matmul } from "../../tensor/ops/linear.ts";
import { float32, int32, type Tensor } from "../../tensor/tensor.ts";
import type { FlowAr } from "./model.ts";

/** Inputs: labels [B], latents [B, Z, P, P], noise [B, L, Z], times [B, K, 1] and their waves [B, K, 256]. */
export function flowArSpecs({ config, plan, side }: FlowAr) {
  const [B, scales] = [symbol("B"), plan.groups.length];
  return {
    labels: int32(B),
    latents: float32(B, config.latentWidth, side, side),
    noise: float32(B, plan.length, config.latentWidth),
    times: float32(B, scales, 1),
    waves: float32(B, scales, timeWaves),
  };
}

/** The weighted loss, and each scale's own. */
export function flowArLoss(model: FlowAr, inputs: Readonly<Record<string, Tensor>>) {
  const { labels, latents, noise, times, waves } = inputs as Record<
    keyof ReturnType<typeof flowArSpecs>,
    Tensor
  >; // declared by flowArSpecs
  const { targets, inputs: past } = model.teacher(latents);
  const x = onPath(targets, noise, matmul(model.scaleOf(), times));
  const velocity = model.velocities(x, model.taught(labels, past), waves);
  const weights = model.plan.groups.map(({ size }) => size / model.side ** 2);
  return flowLoss(velocity, pathVelocity(targets, noise), model.plan, weights);
}

/** Training graph; labels have their share dropped already. */
export function flowArTraining(scope: Scope, model: FlowAr) {
  return trainingGraph(flowArSpecs(model), scope, (inputs) => {
    const { loss, groupLosses } = flowArLoss(model, inputs);
    return { loss, metrics: { scaleLoss: groupLosses } };
  });
}

/** Times of all scales as inputs, from [B * K] numbers between 0 and 1. */
export function timeInputs(
  times: Float32Array,
  scales: number,
): { readonly times: Value; readonly waves: Value } {
  const batch = times.length / scales;
  return {
    times: floats(times, [batch, scales, 1]),
    waves: floats(timeFeatures(Array.from(times, timeId)), [batch, scales, timeWaves]),
  };
}

/** Values of a step: a time per picture and scale, noise for every site. */
export function flowArValues({ config, plan }: FlowAr, { labels, latents, stream }: LatentBatch) {
  const [batch, scales] = [labels.length, plan.groups.length];
  const times = Float32Array.from({ length: batch * scales }, () => uniformTime(stream));
  return {
    labels: ints(labels, [batch]),
    latents,
    noise: floats(stream.normals(batch * plan.length * config.latentWidth), [
      batch,
      plan.length,
      config.latentWidth,
    ]),
    ...timeInputs(times, scales),
  };
}

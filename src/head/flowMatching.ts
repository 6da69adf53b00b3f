/**
 * Flow matching on straight paths: a site's value is `data` at time 0 and noise at time 1, and a network predicts the
 * velocity noise - data. Source: xAR `models/xar.py`, FlowAR `models/flowloss.py` (code).
 * Shape letters: B batch, L sites, G groups, D width of a value.
 */
import type { Plan } from "../plan/types.ts";
import { add, mul, square, sub } from "../tensor/ops/elementwise.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { mean } from "../tensor/ops/neural.ts";
import { sum } from "../tensor/ops/structure.ts";
import type { RandomStream } from "../tensor/random.ts";
import { constant, type Tensor } from "../tensor/tensor.ts";

/** Draws the time of one path, between 0 (data) and 1 (noise). */
export type TimeDraw = (stream: RandomStream) => number;

export const uniformTime: TimeDraw = (stream) => stream.uniform();

/** The logistic function of a standard normal number: times near the middle are drawn most. */
export const logitNormalTime: TimeDraw = (stream) => 1 / (1 + Math.exp(-stream.normal()));

/** (1 - t) data + t noise; `times` broadcasts to their shape, [B, L, 1] for one time per site. */
export function onPath(data: Tensor, noise: Tensor, times: Tensor): Tensor {
  return add(mul(data, sub(1, times)), mul(noise, times));
}

/** What is predicted: noise - data. */
export function pathVelocity(data: Tensor, noise: Tensor): Tensor {
  return sub(noise, data);
}

/** A loss, the groups' own ones [G], and those of every picture [B, G]. */
export interface FlowLoss {
  readonly loss: Tensor;
  readonly groupLosses: Tensor;
  readonly pictureLosses: Tensor;
}

/** Squared error of velocities [B, L, D], its mean per group, and the groups' sum with `weights` [G]. */
export function flowLoss(
  velocity: Tensor,
  target: Tensor,
  { groups, length, groupOf }: Plan,
  weights: readonly number[],
): FlowLoss {
  const shares = new Float32Array(length * groups.length);
  for (const [position, group] of groupOf.entries())
    shares[position * groups.length + group] = 1 / (groups[group]?.size ?? 1);
  const ofSites = mean(square(sub(velocity, target)), [2]); // (B, L)
  const pictureLosses = matmul(ofSites, constant(shares, [length, groups.length]));
  const groupLosses = mean(pictureLosses, [0]);
  const loss = sum(mul(groupLosses, constant(Float32Array.from(weights), [groups.length])));
  return { loss, groupLosses, pictureLosses };
}

/** Weights with which `flowLoss` is the mean over everything. */
export function meanWeights({ groups, length }: Plan): number[] {
  return groups.map(({ size }) => size / length);
}

/** One number per group and picture, [B * G] -> one per site, [B * L]. */
export function overSites(values: Float32Array, { groups, length, groupOf }: Plan): Float32Array {
  const batch = values.length / groups.length;
  return Float32Array.from(
    { length: batch * length },
    (_, i) => values[Math.floor(i / length) * groups.length + (groupOf[i % length] as number)] as number, // in range
  );
}

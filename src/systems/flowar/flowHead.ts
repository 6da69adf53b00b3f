/**
 * FlowAR's head: a small transformer over the sites of one scale that turns noisy latents into velocities, given what the
 * autoregressive transformer says of each site. Source: `models/flowmodel.py` (code).
 * Shape letters: B rows, N sites, C width of conditions z, W width of the head, Z numbers per site, K times per row.
 */
import {
  conditionVectors,
  dense,
  gatedFeedForward,
  gatedRmsBlock,
  joinHeads,
  type RotaryOptions,
  rmsEps,
  rotaryAttention,
  splitHeads,
} from "../../mixer/gatedRmsTransformer.ts";
import { attend, attendWithin, linear, modulate, rms, rmsNorm } from "../../nn/layers.ts";
import { type Rotation, rotatePairs } from "../../nn/rotary.ts";
import { normal, type Scope, zeros } from "../../nn/scope.ts";
import { timeEmbedding } from "../../nn/timeEmbedding.ts";
import { add, mul } from "../../tensor/ops/elementwise.ts";
import { matmul } from "../../tensor/ops/linear.ts";
import { split } from "../../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../../tensor/tensor.ts";
import { flowHeads } from "./config.ts";

export interface FlowHeadConfig {
  readonly latentWidth: number;
  /** Numbers of a velocity per site; those of its latents when absent. */
  readonly velocityWidth?: number;
  readonly flowDepth: number;
  readonly flowWidth: number;
  readonly flowMlpRatio: number;
  readonly flowCross: boolean;
}

/** Which sites belong together. */
export interface FlowSites {
  /** Of the N sites, for heads of a width. */
  rotation(headWidth: number): Rotation;
  /** Lengths of consecutive scales among the N sites, each of which sees only itself. */
  readonly spans?: readonly number[];
  /** Which of the K times is a site's, [N, K] of 0 and 1; one time for all sites when absent. */
  readonly timeOf?: Tensor;
}

/** What all blocks see: time t, t + embedded condition, the condition z itself. */
interface Given {
  readonly time: Tensor;
  readonly both: Tensor;
  readonly z: Tensor;
  readonly options: RotaryOptions;
}

type Block = (scope: Scope, x: Tensor, given: Given, config: FlowHeadConfig) => Tensor;

const attentionOf = ({ flowWidth }: FlowHeadConfig) => ({
  numHeads: flowHeads(flowWidth),
  qkvBias: false,
});

/** The block of S: everything is modulated by time and condition of each site. */
const modulatedBlock: Block = (scope, x, { both, options }, config) => {
  const vectors = conditionVectors(scope.in("ada_lin"), both, 6, config.flowWidth);
  return gatedRmsBlock(scope, x, vectors, { ...attentionOf(config), mlpRatio: config.flowMlpRatio }, options)
    .x;
};

/** Queries from x [B, N, W], keys and values from z [B, N, C]; both turned. */
function crossAttention(scope: Scope, x: Tensor, z: Tensor, { rotation, spans }: RotaryOptions): Tensor {
  const width = staticDim(dimOf(x, -1), "Attention");
  const heads = flowHeads(width);
  const [k, v] = split(dense(scope.in("kv"), z, 2 * width, false), 2, [width, width]) as [Tensor, Tensor]; // two
  const turn = (y: Tensor) => (rotation === undefined ? y : rotatePairs(y, rotation));
  const query = turn(splitHeads(dense(scope.in("q"), x, width, false), heads));
  const [key, value, scale] = [turn(splitHeads(k, heads)), splitHeads(v, heads), (width / heads) ** -0.5];
  const mixed = spans ? attendWithin(spans, query, key, value, scale) : attend(query, key, value, scale);
  return dense(scope.in("proj"), joinHeads(mixed), width);
}

/** The block of L and H: time modulates self-attention, cross attention reads the condition, both modulate the rest. */
const crossBlock: Block = (scope, x, { time, both, z, options }, config) => {
  const { flowWidth: width, flowMlpRatio } = config;
  const vectors = (name: string, condition: Tensor) =>
    conditionVectors(scope.in(name), condition, 3, width) as [Tensor, Tensor, Tensor]; // gate, scale, shift
  const [g1, s1, b1] = vectors("ada_lin_attn", time);
  const [g2, s2, b2] = vectors("ada_lin_mlp", both);
  const own = modulate(rms(x, rmsEps), s1, b1);
  const attended = add(x, mul(g1, rotaryAttention(scope.in("attn"), own, attentionOf(config), options).out));
  const [query, memory] = [
    rmsNorm(scope.in("norm2_1"), attended, rmsEps),
    rmsNorm(scope.in("norm2_2"), z, rmsEps),
  ];
  const read = add(attended, crossAttention(scope.in("crossattn"), query, memory, options));
  return add(
    read,
    mul(g2, gatedFeedForward(scope.in("mlp"), modulate(rms(read, rmsEps), s2, b2), flowMlpRatio)),
  );
};

/** Velocities [B, N, Z] at x [B, N, Z], given z [B, N, C] and waves [B or 1, K, 256] of the times. */
export function flowVelocity(
  scope: Scope,
  config: FlowHeadConfig,
  x: Tensor,
  z: Tensor,
  waves: Tensor,
  { rotation, spans, timeOf }: FlowSites,
): Tensor {
  const { flowWidth: width, flowDepth, velocityWidth = config.latentWidth } = config;
  const embedded = timeEmbedding(scope.in("time_embed"), waves, width, normal(0.02)); // (B or 1, K, W)
  const time = timeOf === undefined ? embedded : matmul(timeOf, embedded);
  const both = add(time, dense(scope.in("cond_embed"), z, width));
  const options = { rotation: rotation(width / flowHeads(width)), ...(spans && { spans }) };
  const block = config.flowCross ? crossBlock : modulatedBlock;
  let h = dense(scope.in("input_proj"), x, width);
  for (let i = 0; i < flowDepth; i++)
    h = block(scope.in("res_blocks", i), h, { time, both, z, options }, config);
  const last = scope.in("final_layer");
  const [shift, scale] = conditionVectors(last.in("adaLN_modulation", 1), both, 2, width) as [Tensor, Tensor]; // two
  return linear(last.in("linear"), modulate(rms(h, rmsEps), scale, shift), velocityWidth, { weight: zeros });
}

/**
 * xAR's network: noisy values of entities in, their velocities out; an entity sees itself and those before it, and is
 * modulated by its class and its own time. Source: `models/xar.py` (code); parameter names are the official ones.
 * Shape letters: B rows, L sites, N fed sites, T conditions per row, D numbers per site, C width.
 */
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import type { TrainingOrder } from "../../context/noisyPast.ts";
import { attentionBias } from "../../context/visibility.ts";
import type { FlowGroupModel, FlowSites } from "../../decoding/flowGroupGenerator.ts";
import { DoubleStack, dense } from "../../mixer/gatedRmsTransformer.ts";
import type { CachedOptions, KeyValue } from "../../mixer/types.ts";
import { placeRotation } from "../../nn/rotary.ts";
import { normal, type Scope, xavierUniform } from "../../nn/scope.ts";
import { timeEmbedding } from "../../nn/timeEmbedding.ts";
import { entityPlan } from "../../plan/entities.ts";
import type { EntityPlan } from "../../plan/types.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { reshape } from "../../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../../tensor/tensor.ts";
import type { TransformerConfig } from "./config.ts";

export class XarTransformer implements FlowGroupModel {
  readonly config: TransformerConfig;
  readonly plan: EntityPlan;
  readonly valueWidth: number;
  readonly conditioner: LabelConditioner;
  readonly #scope: Scope;
  readonly #stack: DoubleStack;

  /** `side` and `valueWidth` are those of the map of latents. */
  constructor(scope: Scope, config: TransformerConfig, side: number, valueWidth: number) {
    this.#scope = scope;
    this.config = config;
    this.plan = entityPlan(config.entity, side, config.parts);
    this.valueWidth = valueWidth;
    this.#stack = new DoubleStack(scope, config, this.plan.length);
    this.conditioner = classEmbedding(
      scope.in("class_emb"),
      config.numClasses,
      config.embedDim,
      normal(0.02),
    );
  }

  get layers() {
    return this.#stack.layers;
  }

  get nullLabel(): number {
    return this.conditioner.nullLabel;
  }

  /** Velocities [B, N, D], the encoder's output [B, N, C], and every layer's cache. */
  run(
    { x, labels, waves, spread, places }: FlowSites,
    layer: (i: number) => CachedOptions,
  ): { readonly velocity: Tensor; readonly encoded: Tensor; readonly caches: readonly KeyValue[] } {
    const { embedDim } = this.config;
    const scope = this.#scope;
    const ofClass = reshape(this.conditioner.vector(labels), [dimOf(labels, 0), 1, embedDim]);
    const ofTime = timeEmbedding(scope.in("time_embed"), waves, embedDim, xavierUniform);
    const embedded = dense(scope.in("z_proj"), x, embedDim);
    const {
      x: hidden,
      encoded,
      caches,
    } = this.#stack.run(embedded, add(ofClass, ofTime), {
      rotation: (width) => placeRotation(this.plan.places, width, places),
      ...{ places, spread, layer },
    });
    return { velocity: dense(scope.in("pred"), hidden, this.valueWidth), encoded, caches };
  }

  /** A whole training sequence: x [B, N, D], labels [B], waves [B, T, 256], as `order` says. */
  whole(order: TrainingOrder, x: Tensor, labels: Tensor, waves: Tensor) {
    const { length, groupOf, positions, conditions, visibility } = order;
    const bias = constant(attentionBias(visibility, order), [length, length]);
    const spread = new Float32Array(length * conditions);
    for (const [i, group] of groupOf.entries()) spread[i * conditions + group] = 1;
    const sites = { x, labels, waves, spread: constant(spread, [length, conditions]) };
    return this.run({ ...sites, places: constant(positions, [length]) }, () => ({ bias }));
  }
}

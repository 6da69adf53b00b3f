/**
 * FlowAR: a class token and the maps of all coarser scales, block-causally, give a condition for every site of the next
 * scale; the flow head makes latents of it. Source: `models/flowar.py` (code).
 * Shape letters: B rows, L sites of all scales, N of some, C width, Z numbers per site, K scales.
 */
import { bicubicThenAreaMatrix } from "../../codec/resize.ts";
import { nextMatrix, poolMatrix, resampleMap, resampleSites } from "../../codec/scaleMatrices.ts";
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import { blockCausal } from "../../context/blockCausal.ts";
import { attentionBias } from "../../context/visibility.ts";
import type { FlowScaleModel } from "../../decoding/flowScaleGenerator.ts";
import { DoubleStack, dense, type StackResult } from "../../mixer/gatedRmsTransformer.ts";
import type { CachedOptions } from "../../mixer/types.ts";
import { type Place, placeRotation } from "../../nn/rotary.ts";
import { normal, type Scope } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { concat, reshape } from "../../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../../tensor/tensor.ts";
import type { TransformerConfig } from "./config.ts";
import { flowVelocity } from "./flowHead.ts";

/** Every scale spans this many units of the angle table, whatever its side (code). */
const extent = 16;

/** Places of the sites of all scales. */
export const scalePlaces = ({ groups }: Plan<Scale>): Place[] =>
  groups.flatMap(({ side, size }) =>
    Array.from({ length: size }, (_, i): Place => {
      const unit = extent / side;
      return [Math.floor(i / side) * unit, (i % side) * unit];
    }),
  );

export class FlowAr implements FlowScaleModel {
  readonly config: TransformerConfig;
  readonly plan: Plan<Scale>;
  readonly conditioner: LabelConditioner;
  readonly layers: FlowScaleModel["layers"];
  readonly width: number;
  readonly valueWidth: number;
  /** Side of the finest map. */
  readonly side: number;
  readonly #places: readonly Place[];
  readonly #scope: Scope;
  readonly #stack: DoubleStack;

  constructor(scope: Scope, config: TransformerConfig) {
    this.#scope = scope;
    this.config = config;
    this.plan = scalePlan(config.patchNums);
    this.side = this.plan.groups.at(-1)?.side ?? 1;
    this.#places = scalePlaces(this.plan);
    this.#stack = new DoubleStack(scope, config, this.plan.length);
    this.layers = this.#stack.layers;
    this.width = config.embedDim;
    this.valueWidth = config.latentWidth;
    this.conditioner = classEmbedding(
      scope.in("class_emb"),
      config.numClasses,
      config.embedDim,
      normal(0.02),
    );
  }

  classToken(labels: Tensor): Tensor {
    return reshape(this.conditioner.vector(labels), [dimOf(labels, 0), 1, this.config.embedDim]);
  }

  #embed(inputs: Tensor): Tensor {
    return dense(this.#scope.in("z_proj"), inputs, this.width);
  }

  input(values: Tensor, matrix: Tensor): Tensor {
    return this.#embed(resampleSites(values, matrix));
  }

  /** Tokens x [B, N, C] at places [N] (all when absent) -> what the flow head is told of each site, and the caches. */
  conditions(
    x: Tensor,
    classToken: Tensor,
    layer: (i: number) => CachedOptions,
    places?: Tensor,
  ): { readonly z: Tensor; readonly caches: StackResult["caches"] } {
    const result = this.#stack.run(x, classToken, {
      rotation: (width) => placeRotation(this.#places, width, places),
      layer,
      ...(places && { places }),
    });
    return { z: add(result.x, this.#stack.positions("diffusion", places)), caches: result.caches };
  }

  /** Velocities [B, N, Z] of one scale at places [N]; waves [B or 1, 1, 256]. */
  velocity(x: Tensor, z: Tensor, waves: Tensor, places: Tensor): Tensor {
    return flowVelocity(this.#scope.in("flownet"), this.config, x, z, waves, {
      rotation: (width) => placeRotation(this.#places, width, places),
    });
  }

  /** Velocities [B, L, Z] of all scales, each for itself; waves [B, K, 256]. */
  velocities(x: Tensor, z: Tensor, waves: Tensor): Tensor {
    return flowVelocity(this.#scope.in("flownet"), this.config, x, z, waves, {
      rotation: (width) => placeRotation(this.#places, width),
      spans: this.plan.groups.map(({ size }) => size),
      timeOf: this.scaleOf(),
    });
  }

  /** Which scale a site belongs to, [L, K] of 0 and 1. */
  scaleOf(): Tensor {
    const { groups, groupOf, length } = this.plan;
    const flags = Float32Array.from({ length: length * groups.length }, (_, i) =>
      groupOf[Math.floor(i / groups.length)] === i % groups.length ? 1 : 0,
    );
    return constant(flags, [length, groups.length]);
  }

  /** Up to the finest map by bicubic weights, then down by averages (code). */
  inputMatrix(from: number, to: number, finest = this.side): Float32Array {
    return bicubicThenAreaMatrix(from, finest, to);
  }

  /** Latents [B, Z, P, P] -> maps of all scales [B, L, Z], and the inputs of all but the first [B, L - 1, Z]. */
  teacher(latents: Tensor): { readonly targets: Tensor; readonly inputs: Tensor } {
    const pool = poolMatrix(this.side, this.plan);
    const next = nextMatrix(this.plan, (from, to) => this.inputMatrix(from, to));
    const targets = resampleMap(latents, constant(pool.data, pool.shape));
    return { targets, inputs: resampleSites(targets, constant(next.data, next.shape)) };
  }

  /** Conditions of all sites [B, L, C] given the truth: labels [B], inputs [B, L - 1, Z]. */
  taught(labels: Tensor, inputs: Tensor): Tensor {
    const { length } = this.plan;
    const bias = constant(attentionBias(blockCausal, this.plan), [length, length]);
    const classToken = this.classToken(labels);
    return this.conditions(concat([classToken, this.#embed(inputs)], 1), classToken, () => ({ bias })).z;
  }
}

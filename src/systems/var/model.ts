/**
 * VAR's transformer: teacher-forced logits for training and the pieces of cached generation. Source: `models/var.py`
 * (code). Shape letters: B batch, L tokens, C width, V codebook size, N sites of one scale, H heads, D head width.
 */
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import { attentionBias, blockCausal } from "../../context/blockCausal.ts";
import {
  adaLnBlock,
  initStd,
  layerModulation,
  modulationPart,
  sharedModulation,
} from "../../mixer/adaLnTransformer.ts";
import type { KeyValue, LayerOptions } from "../../mixer/types.ts";
import { linear, modulate } from "../../nn/layers.ts";
import { type Scope, scaledInit, truncatedNormal, zeros } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import type { Dim } from "../../tensor/dims.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { layerNorm, silu } from "../../tensor/ops/neural.ts";
import { concat, reshape, slice } from "../../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../../tensor/tensor.ts";
import type { TransformerConfig } from "./config.ts";

/** Modulations of all layers [B, depth, 6, C] and of the head [B, 2, C]: they depend on the label alone. */
export interface Modulations {
  readonly layers: Tensor;
  readonly head: Tensor;
}

export class VarTransformer {
  readonly config: TransformerConfig;
  readonly plan: Plan<Scale>;
  readonly vocabSize: number;
  readonly #scope: Scope;
  readonly #codeWidth: number;

  /** `vocabSize` and `codeWidth` are the tokenizer's. */
  constructor(scope: Scope, config: TransformerConfig, vocabSize: number, codeWidth: number) {
    this.#scope = scope;
    this.config = config;
    this.plan = scalePlan(config.patchNums);
    this.vocabSize = vocabSize;
    this.#codeWidth = codeWidth;
  }

  get #init() {
    return truncatedNormal(initStd(this.config.embedDim));
  }

  get #firstSize(): number {
    return this.plan.groups[0]?.size ?? 0;
  }

  get conditioner(): LabelConditioner {
    const { numClasses, embedDim } = this.config;
    return classEmbedding(this.#scope.in("class_emb"), numClasses, embedDim, this.#init);
  }

  /** Labels [B] (the null label included) -> class vectors [B, C]. */
  classVector(labels: Tensor): Tensor {
    return this.conditioner.vector(labels);
  }

  /** Class vectors [B, C] -> modulations. */
  modulations(condition: Tensor): Modulations {
    const { depth, embedDim: c, sharedAln } = this.config;
    const activated = silu(condition);
    const shared = sharedAln ? sharedModulation(this.#scope, activated, this.config) : undefined;
    const layers = Array.from({ length: depth }, (_, i) => {
      const own = layerModulation(this.#scope.in("blocks", i), activated, shared, this.config);
      return reshape(own, [dimOf(condition, 0), 1, 6, c]);
    });
    const headInit = { weight: scaledInit(this.#init, 0.5) };
    const head = linear(this.#scope.in("head_nm", "ada_lin", 1), activated, 2 * c, headInit);
    return { layers: concat(layers, 1), head: reshape(head, [dimOf(condition, 0), 2, c]) };
  }

  /** Level embedding plus position table for all tokens: [1, L, C]. */
  positions(): Tensor {
    const { embedDim: c } = this.config;
    const { groups, groupOf, length } = this.plan;
    const levels = this.#scope.in("lvl_embed").param("weight", [groups.length, c], this.#init);
    const table = this.#scope.param("pos_1LC", [1, length, c], this.#init);
    return add(gatherRows(levels, constant(groupOf, [1, length])), table);
  }

  /** Embedded start of the first scale [B, N0, C], without level and position. */
  start(condition: Tensor): Tensor {
    const { embedDim: c } = this.config;
    const place = this.#scope.param("pos_start", [1, this.#firstSize, c], this.#init);
    return add(reshape(condition, [dimOf(condition, 0), 1, c]), place);
  }

  /** Accumulated tokenizer inputs [B, N, codeWidth] -> [B, N, C], without level and position. */
  embed(inputs: Tensor): Tensor {
    return linear(this.#scope.in("word_embed"), inputs, this.config.embedDim, { weight: this.#init });
  }

  /** All blocks and the head over embedded tokens: x [B, L, C] -> logits [B, L, V] and every layer's cache. */
  blocks(x: Tensor, modulations: Modulations, options: (layer: number) => LayerOptions) {
    const { depth, embedDim: c, normEps } = this.config;
    const caches: KeyValue[] = [];
    let h = x;
    for (let i = 0; i < depth; i++) {
      const modulation = reshape(slice(modulations.layers, 1, i, i + 1), [dimOf(x, 0), 6, c]);
      const result = adaLnBlock(this.#scope.in("blocks", i), h, modulation, this.config, options(i));
      h = result.x;
      caches.push(result.cache);
    }
    const [scale, shift] = [modulationPart(modulations.head, 0), modulationPart(modulations.head, 1)];
    const normed = modulate(layerNorm(h, normEps), scale, shift);
    const headInit = { weight: scaledInit(this.#init, 0.02), bias: zeros };
    return { logits: linear(this.#scope.in("head"), normed, this.vocabSize, headInit), caches };
  }

  /** Teacher-forced logits [B, L, V] from labels [B] and the tokenizer's inputs [B, L - N0, codeWidth]. */
  logits(labels: Tensor, inputs: Tensor, keep?: (layer: number) => readonly [Tensor, Tensor]): Tensor {
    const condition = this.classVector(labels);
    const embedded = this.plan.groups.length === 1 ? [] : [this.embed(inputs)];
    const x = add(concat([this.start(condition), ...embedded], 1), this.positions());
    const { length } = this.plan;
    const bias = constant(attentionBias(blockCausal, this.plan), [length, length]);
    return this.blocks(x, this.modulations(condition), (i) => ({
      bias,
      ...(keep !== undefined && { keep: keep(i) }),
    })).logits;
  }

  /** Names and shapes of the cache inputs of `blocks`, one pair per layer. */
  cacheShape(rows: Dim, past: Dim): readonly Dim[] {
    const { embedDim, numHeads } = this.config;
    return [rows, numHeads, past, embedDim / numHeads];
  }

  get codeWidth(): number {
    return this.#codeWidth;
  }
}

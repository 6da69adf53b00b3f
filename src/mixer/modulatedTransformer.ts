/**
 * A transformer over groups of sites: embedding of continuous inputs, modulated blocks, modulated head. Positions, levels,
 * masks and the condition are handed in, so every scale-wise system composes its own model from it. Parameter names are
 * those of VAR `models/var.py` (code). Shape letters: B batch, L tokens, N sites of a group, C width, V codebook size.
 */
import { linear, modulate } from "../nn/layers.ts";
import { type Initializer, type Scope, scaledInit, truncatedNormal, zeros } from "../nn/scope.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { layerNorm, silu } from "../tensor/ops/neural.ts";
import { concat, reshape, slice } from "../tensor/ops/structure.ts";
import { dimOf, type Tensor } from "../tensor/tensor.ts";
import {
  type AdaLnConfig,
  adaLnBlock,
  initStd,
  layerModulation,
  modulationPart,
  sharedModulation,
} from "./adaLnTransformer.ts";
import type { KeepFactors, KeyValue, LayerOptions, ModulatedMixer, Modulations } from "./types.ts";

/** Last layers and head with parameters of their own, in another scope. */
export interface OwnTail {
  readonly scope: Scope;
  /** First of these layers. */
  readonly from: number;
}

export class ModulatedTransformer implements ModulatedMixer {
  readonly depth: number;
  readonly numHeads: number;
  readonly width: number;
  readonly vocabSize: number;
  readonly #scope: Scope;
  readonly #config: AdaLnConfig;
  readonly #tail: OwnTail;

  constructor(
    scope: Scope,
    config: AdaLnConfig,
    vocabSize: number,
    tail: OwnTail = { scope, from: config.depth },
  ) {
    this.#scope = scope;
    this.#tail = tail;
    this.#config = config;
    this.vocabSize = vocabSize;
    this.depth = config.depth;
    this.numHeads = config.numHeads;
    this.width = config.embedDim;
  }

  /** First values of tables and linear layers. */
  get init(): Initializer {
    return truncatedNormal(initStd(this.width));
  }

  #layer(i: number): Scope {
    return (i < this.#tail.from ? this.#scope : this.#tail.scope).in("blocks", i);
  }

  modulations(condition: Tensor): Modulations {
    const { width: c } = this;
    const activated = silu(condition);
    const shared = this.#config.sharedAln
      ? sharedModulation(this.#scope, activated, this.#config)
      : undefined;
    const rows = dimOf(condition, 0);
    const layers = Array.from({ length: this.depth }, (_, i) => {
      const own = layerModulation(this.#layer(i), activated, shared, this.#config);
      return reshape(own, [rows, 1, 6, c]);
    });
    const headInit = { weight: scaledInit(this.init, 0.5) };
    const head = linear(this.#tail.scope.in("head_nm", "ada_lin", 1), activated, 2 * c, headInit);
    return { layers: concat(layers, 1), head: reshape(head, [rows, 2, c]) };
  }

  /** Start of the first group, without positions: condition [B, C] -> [B, N, C]; `pos_start` is [1, N, C]. */
  start(condition: Tensor, firstSize: number): Tensor {
    const { width: c } = this;
    const place = this.#scope.param("pos_start", [1, firstSize, c], this.init);
    return add(reshape(condition, [dimOf(condition, 0), 1, c]), place);
  }

  /** Inputs of the other groups [B, N, codeWidth] -> [B, N, C], without positions. */
  embed(inputs: Tensor): Tensor {
    return linear(this.#scope.in("word_embed"), inputs, this.width, { weight: this.init });
  }

  blocks(x: Tensor, modulations: Modulations, options: (layer: number) => LayerOptions) {
    const { width: c } = this;
    const caches: KeyValue[] = [];
    let h = x;
    for (let i = 0; i < this.depth; i++) {
      const modulation = reshape(slice(modulations.layers, 1, i, i + 1), [dimOf(x, 0), 6, c]);
      const result = adaLnBlock(this.#layer(i), h, modulation, this.#config, options(i));
      h = result.x;
      caches.push(result.cache);
    }
    const [scale, shift] = [modulationPart(modulations.head, 0), modulationPart(modulations.head, 1)];
    const normed = modulate(layerNorm(h, this.#config.normEps), scale, shift);
    const headInit = { weight: scaledInit(this.init, 0.02), bias: zeros };
    return { logits: linear(this.#tail.scope.in("head"), normed, this.vocabSize, headInit), caches };
  }
}

/** Layer options of a whole sequence in training: an additive mask [L, L], and drop path when given. */
export function sequenceOptions(bias: Tensor, keep?: KeepFactors): (layer: number) => LayerOptions {
  return (layer) => ({ bias, ...(keep !== undefined && { keep: keep(layer) }) });
}

/**
 * HMAR's two transformers. Next-scale prediction is VAR's with a Markov mask: a scale sees itself only, and attention is
 * computed scale by scale. Masked prediction shares all but its last layers and its head, and adds to a scale's input what
 * the scale's own current tokens contribute, or a mask vector. Source: `models/nsp.py`, `models/mp.py` (code).
 * Shape letters: B batch, L tokens, N0 tokens of the first scale, N sites of one scale, C width, D code width, V codes.
 */
import { LevelledTransformer } from "../../mixer/levelledTransformer.ts";
import type { KeepFactors, LayerOptions } from "../../mixer/types.ts";
import type { Scope } from "../../nn/scope.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import type { TransformerConfig } from "../../regimen/multiScaleConfig.ts";
import { planAndClasses, type ResidualTransformer } from "../../regimen/multiScaleModel.ts";
import { add, mul, sub } from "../../tensor/ops/elementwise.ts";
import { linear } from "../../tensor/ops/linear.ts";
import { pad, reshape } from "../../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../../tensor/tensor.ts";

/** Every scale by itself, and drop path when given. */
function scaleByScale({ groups }: Plan<Scale>, keep?: KeepFactors): (layer: number) => LayerOptions {
  const spans = groups.map(({ size }) => size);
  return (layer) => ({ spans, ...(keep !== undefined && { keep: keep(layer) }) });
}

export class NextScaleTransformer extends LevelledTransformer implements ResidualTransformer {
  readonly config: TransformerConfig;

  /** `vocabSize` is the tokenizer's. */
  constructor(scope: Scope, config: TransformerConfig, vocabSize: number) {
    super(scope, config, vocabSize, planAndClasses(scope, config));
    this.config = config;
  }

  /** Teacher-forced logits [B, L, V] from labels [B] and the tokenizer's inputs [B, L - N0, D]. */
  logits(labels: Tensor, inputs: Tensor, keep?: KeepFactors): Tensor {
    const condition = this.classVector(labels);
    const x = this.sequence(condition, inputs);
    return this.blocks(x, this.modulations(condition), scaleByScale(this.plan, keep)).logits;
  }
}

export class MaskedTransformer extends LevelledTransformer {
  readonly #base: Scope;
  readonly #own: Scope;

  /** `base` has the parameters of next-scale prediction, `own` those of the last `tailLayers` layers and the head. */
  constructor(base: Scope, own: Scope, config: TransformerConfig, vocabSize: number, tailLayers: number) {
    const tail = { scope: own, from: config.depth - tailLayers };
    super(base, config, vocabSize, planAndClasses(base, config), tail);
    this.#base = base;
    this.#own = own;
  }

  /** What is added to a scale's input: own contributions [B, N, D], or the mask vector where `masked` [1 or B, N] is 1. */
  ownPart(contributions: Tensor, masked: Tensor): Tensor {
    const codeWidth = staticDim(dimOf(contributions, 2), "Codes");
    const weight = this.#base.in("word_embed").param("weight", [this.width, codeWidth], this.init);
    const vector = this.#own.in("mask_embed").param("weight", [1, this.width], this.init);
    const hidden = reshape(masked, [dimOf(masked, 0), dimOf(masked, 1), 1]);
    return add(
      mul(linear(contributions, weight), sub(1, hidden)),
      mul(hidden, reshape(vector, [1, 1, this.width])),
    );
  }

  /** Logits [B, L, V] from labels [B], next-scale inputs and own contributions [B, L - N0, D], flags [1 or B, L - N0]. */
  logits(labels: Tensor, inputs: Tensor, contributions: Tensor, masked: Tensor, keep?: KeepFactors): Tensor {
    const condition = this.classVector(labels);
    const own = pad(this.ownPart(contributions, masked), 1, this.firstSize, 0); // nothing of the first scale is masked
    const x = add(this.sequence(condition, inputs), own);
    return this.blocks(x, this.modulations(condition), scaleByScale(this.plan, keep)).logits;
  }
}

/**
 * VAR's transformer: teacher-forced logits for training and the pieces of cached generation. Source: `models/var.py`
 * (code). Its own: level embedding plus a learned position per token, the schedule fixed by the parameters' shapes.
 * Shape letters: B batch, L tokens, C width, V codebook size, N sites of one scale.
 */
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import { attentionBias, blockCausal } from "../../context/blockCausal.ts";
import { ModulatedTransformer, sequenceOptions } from "../../mixer/modulatedTransformer.ts";
import type { KeepFactors } from "../../mixer/types.ts";
import type { Scope } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { concat } from "../../tensor/ops/structure.ts";
import { constant, type Tensor } from "../../tensor/tensor.ts";
import type { TransformerConfig } from "./config.ts";

export class VarTransformer extends ModulatedTransformer {
  readonly config: TransformerConfig;
  readonly plan: Plan<Scale>;
  readonly conditioner: LabelConditioner;
  readonly #scope: Scope;

  /** `vocabSize` is the tokenizer's. */
  constructor(scope: Scope, config: TransformerConfig, vocabSize: number) {
    super(scope, config, vocabSize);
    this.#scope = scope;
    this.config = config;
    this.plan = scalePlan(config.patchNums);
    this.conditioner = classEmbedding(scope.in("class_emb"), config.numClasses, config.embedDim, super.init);
  }

  /** Sites of the first scale. */
  get firstSize(): number {
    return this.plan.groups[0]?.size ?? 0;
  }

  /** Labels [B] (the null label included) -> class vectors [B, C]. */
  classVector(labels: Tensor): Tensor {
    return this.conditioner.vector(labels);
  }

  /** Level embedding plus position table for all tokens: [1, L, C]. */
  positions(): Tensor {
    const { embedDim: c } = this.config;
    const { groups, groupOf, length } = this.plan;
    const levels = this.#scope.in("lvl_embed").param("weight", [groups.length, c], this.init);
    const table = this.#scope.param("pos_1LC", [1, length, c], this.init);
    return add(gatherRows(levels, constant(groupOf, [1, length])), table);
  }

  /** Teacher-forced logits [B, L, V] from labels [B] and the tokenizer's inputs [B, L - N0, codeWidth]. */
  logits(labels: Tensor, inputs: Tensor, keep?: KeepFactors): Tensor {
    const condition = this.classVector(labels);
    const embedded = this.plan.groups.length === 1 ? [] : [this.embed(inputs)];
    const x = add(concat([this.start(condition, this.firstSize), ...embedded], 1), this.positions());
    const { length } = this.plan;
    const bias = constant(attentionBias(blockCausal, this.plan), [length, length]);
    return this.blocks(x, this.modulations(condition), sequenceOptions(bias, keep)).logits;
  }
}

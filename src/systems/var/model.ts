/**
 * VAR's transformer: teacher-forced logits for training and the pieces of cached generation; every scale sees its own and
 * all earlier ones. Source: `models/var.py` (code). Shape letters: B batch, L tokens, N0 sites of the first scale, V codes.
 */
import { blockCausal } from "../../context/blockCausal.ts";
import { attentionBias } from "../../context/visibility.ts";
import { LevelledTransformer } from "../../mixer/levelledTransformer.ts";
import { sequenceOptions } from "../../mixer/modulatedTransformer.ts";
import type { KeepFactors } from "../../mixer/types.ts";
import type { Scope } from "../../nn/scope.ts";
import type { TransformerConfig } from "../../regimen/multiScaleConfig.ts";
import { planAndClasses, type ResidualTransformer } from "../../regimen/multiScaleModel.ts";
import { constant, type Tensor } from "../../tensor/tensor.ts";

export class VarTransformer extends LevelledTransformer implements ResidualTransformer {
  readonly config: TransformerConfig;

  /** `vocabSize` is the tokenizer's. */
  constructor(scope: Scope, config: TransformerConfig, vocabSize: number) {
    super(scope, config, vocabSize, planAndClasses(scope, config));
    this.config = config;
  }

  /** Teacher-forced logits [B, L, V] from labels [B] and the tokenizer's inputs [B, L - N0, codeWidth]. */
  logits(labels: Tensor, inputs: Tensor, keep?: KeepFactors): Tensor {
    const condition = this.classVector(labels);
    const { length } = this.plan;
    const bias = constant(attentionBias(blockCausal, this.plan), [length, length]);
    const x = this.sequence(condition, inputs);
    return this.blocks(x, this.modulations(condition), sequenceOptions(bias, keep)).logits;
  }
}

/**
 * The transformer of models with one fixed schedule of scales: level embedding plus a learned position per token, so that
 * the schedule is fixed by the parameters' shapes. Source: VAR `models/var.py` (code); names are the official ones.
 * Shape letters: B batch, L tokens, C width, V codebook size, N0 sites of the first scale.
 */
import type { LabelConditioner } from "../conditioner/types.ts";
import type { Scope } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import { trace } from "../runtime/trace.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { gatherRows } from "../tensor/ops/gather.ts";
import { concat } from "../tensor/ops/structure.ts";
import { constant, type Tensor } from "../tensor/tensor.ts";
import type { AdaLnConfig } from "./adaLnTransformer.ts";
import { ModulatedTransformer, type OwnTail } from "./modulatedTransformer.ts";

export class LevelledTransformer extends ModulatedTransformer {
  readonly plan: Plan<Scale>;
  readonly conditioner: LabelConditioner;
  readonly #scope: Scope;

  /** `vocabSize` is the tokenizer's; `conditioner` makes the class vectors. */
  constructor(
    scope: Scope,
    config: AdaLnConfig,
    vocabSize: number,
    { plan, conditioner }: { readonly plan: Plan<Scale>; readonly conditioner: LabelConditioner },
    tail?: OwnTail,
  ) {
    super(scope, config, vocabSize, tail);
    this.#scope = scope;
    this.plan = plan;
    this.conditioner = conditioner;
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
    const { groups, groupOf, length } = this.plan;
    const levels = this.#scope.in("lvl_embed").param("weight", [groups.length, this.width], this.init);
    const table = this.#scope.param("pos_1LC", [1, length, this.width], this.init);
    return add(gatherRows(levels, constant(groupOf, [1, length])), table);
  }

  /** All tokens as the first layer sees them [B, L, C]: class vectors [B, C], inputs of the later scales [B, L - N0, codeWidth]. */
  sequence(condition: Tensor, inputs: Tensor): Tensor {
    const later = this.plan.groups.length === 1 ? [] : [this.embed(inputs)];
    return add(concat([this.start(condition, this.firstSize), ...later], 1), this.positions());
  }
}

/** The position table [1, L, C] (levels included), computed once. */
export function positionsGraph(model: LevelledTransformer) {
  return trace({}, () => ({ positions: model.positions() }));
}

/**
 * FlexVAR's transformer: VAR's blocks and head, no level embedding, and a learned position map that is area-pooled to the
 * side of each scale. Schedules are data: pooling matrices, next-scale matrices and masks are inputs. Source:
 * `models/flexvar.py` (code). Shape letters: B batch, L tokens, N0 of the first scale, K = L - N0, C width, T table side.
 */
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import { ModulatedTransformer, sequenceOptions } from "../../mixer/modulatedTransformer.ts";
import type { KeepFactors } from "../../mixer/types.ts";
import type { Scope } from "../../nn/scope.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { matmul } from "../../tensor/ops/linear.ts";
import { broadcastTo, concat, reshape, slice } from "../../tensor/ops/structure.ts";
import { dimOf, type Tensor } from "../../tensor/tensor.ts";
import type { TransformerConfig } from "./config.ts";

/**
 * Sine of the row in even channels, cosine of the column in odd ones: [width, rows, columns]; frequencies
 * 10000^(-2k / width). Source: code, `generate_2d_rotary_position_embedding`.
 */
export function positionTable(rows: number, columns: number, width: number): Float32Array {
  const table = new Float32Array(width * rows * columns);
  for (let channel = 0; channel < width; channel++) {
    const even = channel - (channel % 2);
    const frequency = Math.exp(Math.fround(even) * -(Math.log(10000) / width));
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const angle = (channel % 2 === 0 ? y : x) * frequency;
        table[(channel * rows + y) * columns + x] = channel % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
      }
    }
  }
  return table;
}

export class FlexTransformer extends ModulatedTransformer {
  readonly config: TransformerConfig;
  readonly conditioner: LabelConditioner;
  readonly #scope: Scope;

  /** `vocabSize` is the tokenizer's. */
  constructor(scope: Scope, config: TransformerConfig, vocabSize: number) {
    super(scope, config, vocabSize);
    this.#scope = scope;
    this.config = config;
    const { numClasses, embedDim } = config;
    this.conditioner = classEmbedding(scope.in("class_emb"), numClasses, embedDim, super.init);
  }

  /** Rows of `pos_start`. */
  get #startSize(): number {
    return (this.config.patchNums[0] ?? 1) ** 2;
  }

  classVector(labels: Tensor): Tensor {
    return this.conditioner.vector(labels);
  }

  /** A start of one row serves a first scale of any side, as in the official code. */
  override start(condition: Tensor, firstSize: number): Tensor {
    const own = super.start(condition, this.#startSize);
    return this.#startSize === firstSize ? own : broadcastTo(own, [dimOf(own, 0), firstSize, this.width]);
  }

  /** Positions of sites: pooling `place` [T^2, L] of the position map -> [1, L, C]. */
  positions(place: Tensor): Tensor {
    const { embedDim: c, positionSide: t } = this.config;
    const table = this.#scope.param("pos_1LC", [1, c, t, t], () => positionTable(t, t, c));
    const pooled = matmul(place, reshape(table, [c, t * t]), true, true); // (L, C)
    return reshape(pooled, [1, dimOf(place, 1), c]);
  }

  /** Logits [B, L, V]: labels [B], inputs [B, K, codeWidth], place [T^2, L], mask [L, L], L = firstSize + K. */
  logits(
    labels: Tensor,
    inputs: Tensor,
    { place, bias, firstSize }: { place: Tensor; bias: Tensor; firstSize: number },
    keep?: KeepFactors,
  ): Tensor {
    const condition = this.classVector(labels);
    const x = concat([this.start(condition, firstSize), this.embed(inputs)], 1);
    const placed = add(x, this.positions(place));
    return this.blocks(placed, this.modulations(condition), sequenceOptions(bias, keep)).logits;
  }

  /**
   * Scales on their own behind the class as ONE token, without `pos_start`: labels [B], inputs [B, N, codeWidth], place
   * [T^2, 1 + N] (the class token has the 1 x 1 position), mask [1 + N, 1 + N] -> logits [B, N, V]. Source: code,
   * `forward(student_forcing=True)`.
   */
  isolatedLogits(
    labels: Tensor,
    inputs: Tensor,
    { place, bias }: { place: Tensor; bias: Tensor },
    keep?: KeepFactors,
  ): Tensor {
    const condition = this.classVector(labels);
    const token = reshape(condition, [dimOf(condition, 0), 1, this.width]);
    const x = add(concat([token, this.embed(inputs)], 1), this.positions(place));
    const { logits } = this.blocks(x, this.modulations(condition), sequenceOptions(bias, keep));
    return slice(logits, 1, 1, dimOf(logits, 1));
  }
}

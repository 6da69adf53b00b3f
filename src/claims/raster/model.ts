/**
 * The next-token baseline: a map's tokens one by one, row by row. Blocks, modulation and head are those of the scale-wise
 * models, so that nothing differs but what is predicted next; a token enters as its code vector through the same linear
 * layer. In the manner of LlamaGen, arXiv 2406.06525 (inferred: its blocks are Llama's, these are not).
 * Shape letters: B batch, L tokens of the map, C width, V codebook size, D code width.
 */

import type { MultiScaleTokenizer } from "../../codec/multiScaleTokenizer.ts";
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import { blockCausal } from "../../context/blockCausal.ts";
import { attentionBias } from "../../context/visibility.ts";
import { ModulatedTransformer, sequenceOptions } from "../../mixer/modulatedTransformer.ts";
import type { KeepFactors } from "../../mixer/types.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { latticeRaster } from "../../plan/lattice.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan } from "../../plan/types.ts";
import type { TransformerConfig } from "../../regimen/multiScaleConfig.ts";
import { multiScaleTokenizer, tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import type { Trainee } from "../../regimen/programmes.ts";
import type { ScaleWiseModel, WholeForm } from "../../regimen/scaleWise.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { concat, slice, stopGradient } from "../../tensor/ops/structure.ts";
import { constant, type Tensor } from "../../tensor/tensor.ts";
import type { RasterConfig } from "./config.ts";

/** Parameter prefix of the transformer in files that hold both models. */
export const rasterPrefix = "raster.";

export class RasterTransformer extends ModulatedTransformer {
  readonly plan: Plan;
  readonly conditioner: LabelConditioner;
  readonly #scope: Scope;

  constructor(scope: Scope, config: TransformerConfig, vocabSize: number) {
    super(scope, config, vocabSize);
    this.#scope = scope;
    const side = config.patchNums.at(-1) ?? 1;
    this.plan = latticeRaster([side, side]);
    this.conditioner = classEmbedding(scope.in("class_emb"), config.numClasses, config.embedDim, super.init);
  }

  /** Labels [B] (the null label included) -> class vectors [B, C]. */
  classVector(labels: Tensor): Tensor {
    return this.conditioner.vector(labels);
  }

  /** The position table [1, L, C]. */
  positions(): Tensor {
    return this.#scope.param("pos_1LC", [1, this.plan.length, this.width], this.init);
  }

  /** Teacher-forced logits [B, L, V] from labels [B] and the codes of all tokens but the last [B, L - 1, D]. */
  logits(labels: Tensor, codes: Tensor, keep?: KeepFactors): Tensor {
    const condition = this.classVector(labels);
    const { length } = this.plan;
    const before = length === 1 ? [] : [this.embed(codes)];
    const x = add(concat([this.start(condition, 1), ...before], 1), this.positions());
    const bias = constant(attentionBias(blockCausal, this.plan), [length, length]);
    return this.blocks(x, this.modulations(condition), sequenceOptions(bias, keep)).logits;
  }
}

/** The models of a configuration over fresh scopes. */
export function buildRaster({ tokenizer: codec, transformer: config }: RasterConfig) {
  const scopes = { tokenizer: Scope.root(tokenizerPrefix), transformer: Scope.root(rasterPrefix) };
  const tokenizer = multiScaleTokenizer(scopes.tokenizer, codec);
  const transformer = new RasterTransformer(scopes.transformer, config, codec.vocabSize);
  return { tokenizer, transformer, scopes };
}

/** As training sees it: its tokens are one scale, the whole map. */
class RasterScaleWise implements ScaleWiseModel {
  readonly vocabSize: number;
  readonly depth: number;
  readonly condDropRate: number;
  readonly dropPathRate: number;
  readonly conditioner;
  readonly whole: WholeForm;

  constructor(tokenizer: MultiScaleTokenizer, model: RasterTransformer, config: TransformerConfig) {
    this.vocabSize = model.vocabSize;
    this.depth = model.depth;
    this.condDropRate = config.condDropRate;
    this.dropPathRate = config.dropPathRate;
    this.conditioner = model.conditioner;
    const { length } = model.plan;
    this.whole = {
      specs: {},
      length,
      logits: (labels, past, _, keep) => {
        const codes = stopGradient(gatherRows(tokenizer.vq.codebook, slice(past, 1, 0, length - 1)));
        return model.logits(labels, codes, keep);
      },
      values: () => ({}),
    };
  }

  prefix(): ReturnType<typeof scalePlan> {
    return scalePlan([Math.round(Math.sqrt(Number(this.whole.length)))]);
  }
}

/** The transformer of a training over a frozen tokenizer. */
export function rasterTrainee(config: RasterConfig, frozen: Weights): Trainee {
  const { tokenizer, transformer, scopes } = buildRaster(config);
  const model = new RasterScaleWise(tokenizer, transformer, config.transformer);
  return { scope: scopes.transformer, frozen, model };
}

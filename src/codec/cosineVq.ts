/**
 * Vector quantiser with one codebook whose vectors and codes are L2-normalised before they are compared; the value of a
 * site is the normalised code. Source: LlamaGen `vq_model.py`, FlexVAR `models/vq_llama.py` (code).
 * Shape letters: B batch, N sites, C code width, V codebook size.
 */
import { type Scope, uniform } from "../nn/scope.ts";
import { add, log, mul, square, sub } from "../tensor/ops/elementwise.ts";
import { gatherRows } from "../tensor/ops/gather.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { l2Normalize, mean, softmax } from "../tensor/ops/neural.ts";
import { reshape, stopGradient, sum } from "../tensor/ops/structure.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { nearestCode } from "./nearest.ts";

export interface CosineVqConfig {
  readonly vocabSize: number;
  readonly codeWidth: number;
  /** False compares vectors as they are. */
  readonly codebookL2Norm: boolean;
}

/** One quantisation with what trains it. */
export interface Quantised {
  /** The chosen codes with a straight-through gradient, [B, N, C]. */
  readonly output: Tensor;
  readonly ids: Tensor;
  /** mse(code, sg z) and mse(sg code, z), scalars. */
  readonly vqLoss: Tensor;
  readonly commitLoss: Tensor;
  /** Mean entropy per vector minus entropy of the mean, at temperature 0.01. */
  readonly entropyLoss: () => Tensor;
}

export class CosineVq {
  readonly #scope: Scope;
  readonly #config: CosineVqConfig;

  constructor(scope: Scope, config: CosineVqConfig) {
    this.#scope = scope;
    this.#config = config;
  }

  get #book(): Tensor {
    const { vocabSize, codeWidth } = this.#config;
    return this.#scope.in("embedding").param("weight", [vocabSize, codeWidth], uniform(1 / vocabSize));
  }

  /** The codebook as sites use it, [V, C]: normalised. */
  get codes(): Tensor {
    return this.#normalise(this.#book);
  }

  /** Of codes [..., C] as `codes` has them: of length 1, whatever the configuration says. */
  unit(codes: Tensor): Tensor {
    return this.#config.codebookL2Norm ? codes : l2Normalize(codes);
  }

  #normalise(x: Tensor): Tensor {
    return this.#config.codebookL2Norm ? l2Normalize(x) : x;
  }

  /** Vectors [B, N, C] -> ids [B, N]. */
  nearest(vectors: Tensor): Tensor {
    return nearestCode(this.#normalise(stopGradient(vectors)), stopGradient(this.codes));
  }

  /** Ids of any shape -> codes [..., C]. */
  lookup(ids: Tensor): Tensor {
    return gatherRows(this.codes, ids);
  }

  /** Quantisation with gradients. Source: code, `VectorQuantizer.forward`. */
  forward(vectors: Tensor): Quantised {
    const z = this.#normalise(vectors);
    const ids = this.nearest(vectors);
    const code = this.lookup(ids);
    return {
      output: add(z, stopGradient(sub(code, z))),
      ids,
      vqLoss: mean(square(sub(code, stopGradient(z)))),
      commitLoss: mean(square(sub(stopGradient(code), z))),
      entropyLoss: () => this.#entropyLoss(z),
    };
  }

  /** Source: code, `compute_entropy_loss` over negative distances; constant parts of a row do not matter. */
  #entropyLoss(z: Tensor): Tensor {
    const book = this.codes;
    const flat = reshape(z, [-1, this.#config.codeWidth]);
    const closeness = sub(mul(matmul(flat, book, false, true), 2), sum(square(book), [1])); // (B N, V)
    const share = softmax(mul(closeness, 1 / 0.01));
    const entropy = (p: Tensor, floor: number) => mul(sum(mul(p, log(add(p, floor))), [-1]), -1);
    return sub(mean(entropy(share, 1e-12)), entropy(mean(share, [0]), 1e-5));
  }
}

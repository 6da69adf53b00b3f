/**
 * Next-neighbour prediction over LlamaGen's decoder: a class token, then all sites of a lattice; a token sees the class and
 * every token at most as far from the first site. Source: NAR `gpt.py`, `larp_ar.py` (code).
 * Shape letters: B rows, L sites, N fed tokens, C width, V codes.
 */
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import { attentionBias, blockCausal } from "../../context/blockCausal.ts";
import type { LatticeModel } from "../../decoding/latticeGenerator.ts";
import { neighbourHeads, nextSiteHead, type Overlap } from "../../head/latticeHeads.ts";
import type { LatticeHeads } from "../../head/types.ts";
import {
  gridRotation,
  llamaInit,
  llamaLayers,
  type Readout,
  zeroInit,
} from "../../mixer/llamaTransformer.ts";
import type { KeyValue, LayerOptions } from "../../mixer/types.ts";
import type { Scope } from "../../nn/scope.ts";
import { latticeRaster, storageOrder, wavefrontPlan } from "../../plan/lattice.ts";
import type { LatticePlan } from "../../plan/types.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { concat, reshape } from "../../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../../tensor/tensor.ts";
import type { TransformerConfig } from "./config.ts";

/** Plan, heads and positions: what NAR of pictures, NAR of videos and LlamaGen differ in. */
export interface Form {
  readonly plan: LatticePlan;
  readonly readout: LatticeHeads;
  readonly readouts: readonly Readout[];
  /** Turned queries and keys, or a learned table that is added. */
  readonly positions: "rotary" | "learned";
}

/** Head 0 follows rows ("right"), head 1 columns ("below"). */
const overlaps: Readonly<Record<TransformerConfig["overlap"], Overlap>> = {
  average: (heads) => heads,
  right: (heads) => heads.slice(0, 1),
  below: (heads) => heads.slice(-1),
};

/** The form of a configuration over a square map; `below` counts the layers between both heads, officially one. */
export function formOf({ nLayer, order, overlap }: TransformerConfig, side: number, below = 1): Form {
  const next: Readout = { after: nLayer, norm: "norm", output: "output", init: zeroInit };
  const shape = [side, side];
  if (order === "raster") {
    const plan = latticeRaster(shape);
    return { plan, readout: nextSiteHead(plan), readouts: [next], positions: "rotary" };
  }
  const plan = wavefrontPlan(shape);
  const down = { after: nLayer + below, norm: "medusa_norm", output: "medusa_output", init: llamaInit };
  return {
    plan,
    readout: neighbourHeads(plan, overlaps[overlap]),
    readouts: [next, down],
    positions: "rotary",
  };
}

/** Videos: right, below ("D", down), next frame ("B", back). Source: `larp_ar.py` (code). */
export function videoForm({ nLayer }: Pick<TransformerConfig, "nLayer">, shape: readonly number[]): Form {
  const plan = wavefrontPlan(shape);
  const readouts = ["R", "D", "B"].map((axis, k) => ({
    after: nLayer + k,
    norm: `norm_${axis}`,
    output: `output_${axis}`,
    init: k === 0 ? zeroInit : llamaInit,
  }));
  return { plan, readout: neighbourHeads(plan), readouts, positions: "learned" };
}

export class LatticeTransformer implements LatticeModel {
  readonly config: TransformerConfig;
  readonly plan: LatticePlan;
  readonly readout: LatticeHeads;
  readonly layers: number;
  readonly numHeads: number;
  readonly headWidth: number;
  readonly vocabSize: number;
  readonly conditioner: LabelConditioner;
  readonly #form: Form;
  readonly #scope: Scope;

  /** `vocabSize` is the tokenizer's. */
  constructor(scope: Scope, config: TransformerConfig, vocabSize: number, form: Form) {
    this.#scope = scope;
    this.#form = form;
    this.config = config;
    this.plan = form.plan;
    this.readout = form.readout;
    this.layers = Math.max(...form.readouts.map(({ after }) => after));
    this.numHeads = config.nHead;
    this.headWidth = config.dim / config.nHead;
    this.vocabSize = vocabSize;
    const classes = scope.in("cls_embedding", "embedding_table");
    this.conditioner = classEmbedding(classes, config.numClasses, config.dim, llamaInit);
  }

  prefix(labels: Tensor): Tensor {
    return reshape(this.conditioner.vector(labels), [dimOf(labels, 0), 1, this.config.dim]);
  }

  tokens(ids: Tensor): Tensor {
    const table = this.#scope
      .in("tok_embeddings")
      .param("weight", [this.vocabSize, this.config.dim], llamaInit);
    return gatherRows(table, ids);
  }

  /** Cosines and sines of all places [1 + L, head width]. */
  rotation() {
    const [rows = 1, columns = 1] = this.plan.shape;
    return gridRotation(rows, columns, this.headWidth);
  }

  run(
    x: Tensor,
    places: Tensor,
    layer: (i: number) => LayerOptions,
  ): { readonly heads: Tensor[]; readonly caches: KeyValue[] } {
    const { dim } = this.config;
    const all = this.plan.length + 1;
    const config = { ...this.config, vocabSize: this.vocabSize };
    if (this.#form.positions === "learned") {
      const table = this.#scope.param("abs_pe", [1, all, dim], llamaInit);
      const placed = add(x, gatherRows(reshape(table, [all, dim]), places));
      return llamaLayers(this.#scope, placed, config, this.#form.readouts, { layer });
    }
    const { cos, sin } = this.rotation();
    const at = (table: Float32Array) => gatherRows(constant(table, [all, this.headWidth]), places);
    return llamaLayers(this.#scope, x, config, this.#form.readouts, {
      rotation: { cos: at(cos), sin: at(sin) },
      layer,
    });
  }

  /** Logits [B, 1 + L, V] of every head from labels [B] and all true ids [B, L], row-major. */
  headLogits(labels: Tensor, ids: Tensor): Tensor[] {
    const order = storageOrder(this.plan);
    const { length } = order;
    const bias = constant(attentionBias(blockCausal, order), [length, length]);
    const x = concat([this.prefix(labels), this.tokens(ids)], 1);
    const places = constant(
      Int32Array.from({ length }, (_, i) => i),
      [length],
    );
    return this.run(x, places, () => ({ bias })).heads;
  }

  /** Logits of all sites [B, L, V], row-major. */
  logits(labels: Tensor, ids: Tensor): Tensor {
    return this.readout.combine(this.headLogits(labels, ids));
  }
}

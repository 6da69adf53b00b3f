/**
 * Next-neighbour prediction over LlamaGen's decoder: a class token, then all sites of a lattice; a token sees the class and
 * every token at most as far from the first site. Source: NAR `gpt.py`, `larp_ar.py` (code).
 * Shape letters: B rows, L sites, N fed tokens, C width, V codes.
 */
import { classEmbedding } from "../../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../../conditioner/types.ts";
import { blockCausal } from "../../context/blockCausal.ts";
import { biasOf } from "../../context/visibility.ts";
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
import type { CachedOptions, KeyValue } from "../../mixer/types.ts";
import type { Scope } from "../../nn/scope.ts";
import { latticeRaster, storageOrder, wavefrontPlan } from "../../plan/lattice.ts";
import type { LatticePlan } from "../../plan/types.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { concat, reshape, slice } from "../../tensor/ops/structure.ts";
import { constant, dimOf, type Tensor } from "../../tensor/tensor.ts";
import type { TransformerConfig } from "./config.ts";

/** Plan, heads and positions: what NAR of pictures, NAR of videos and LlamaGen differ in. */
export interface Form {
  readonly plan: LatticePlan;
  readonly readout: LatticeHeads;
  readonly readouts: readonly Readout[];
  /** Turned queries and keys, or a table that is added: learned, or sines and cosines. */
  readonly positions: "rotary" | "learned" | "waves";
  /** Tokens of given frames that stand in the place of the class; 0 for a class. */
  readonly given?: number;
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

/**
 * Videos: right, below ("D", down), next frame ("B", back); `fixedPositions` are not learned, `given` counts the tokens of
 * given frames and the one that ends them. Source: `larp_ar.py` (code).
 */
export function videoForm(
  { nLayer }: Pick<TransformerConfig, "nLayer">,
  shape: readonly number[],
  { fixedPositions = false, given = 0 } = {},
): Form {
  const plan = wavefrontPlan(shape);
  const readouts = ["R", "D", "B"].map((axis, k) => ({
    after: nLayer + k,
    norm: `norm_${axis}`,
    output: `output_${axis}`,
    init: k === 0 ? zeroInit : llamaInit,
  }));
  const positions = fixedPositions ? "waves" : "learned";
  return { plan, readout: neighbourHeads(plan), readouts, positions, given };
}

/** Sines, then cosines, of places at falling frequencies: [places * width]. */
function placeWaves(places: number, width: number): Float32Array {
  const half = width / 2;
  return Float32Array.from({ length: places * width }, (_, i) => {
    const [place, column] = [Math.floor(i / width), i % width];
    const angle = place / 10_000 ** ((column % half) / half);
    return column < half ? Math.sin(angle) : Math.cos(angle);
  });
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
    // Given frames are rows of the tokens' own table; its last one, after all codes, ends them.
    const [classes, count] = form.given
      ? [scope.in("tok_embeddings"), vocabSize]
      : [scope.in("cls_embedding", "embedding_table"), config.numClasses];
    this.conditioner = classEmbedding(classes, count, config.dim, llamaInit);
  }

  /** Places before the first site. */
  get prefixLength(): number {
    return this.#form.given || 1;
  }

  /** Labels [rows], or tokens of given frames [rows, K] -> [rows, K, C]. */
  prefix(labels: Tensor): Tensor {
    return reshape(this.conditioner.vector(labels), [dimOf(labels, 0), this.prefixLength, this.config.dim]);
  }

  tokens(ids: Tensor): Tensor {
    const rows = this.vocabSize + (this.#form.given ? 1 : 0);
    const table = this.#scope.in("tok_embeddings").param("weight", [rows, this.config.dim], llamaInit);
    return gatherRows(table, ids);
  }

  /**
   * Places that a place does not see, [K + L, K + L], 1 = hidden. Code: of given frames all places see the first token alone,
   * the others not even themselves.
   */
  hidden(): Uint8Array {
    const order = storageOrder(this.plan);
    const base = blockCausal.hidden(order);
    const before = this.prefixLength - 1;
    const length = order.length + before;
    return Uint8Array.from({ length: length * length }, (_, i) => {
      const [query, key] = [Math.max(0, Math.floor(i / length) - before), i % length];
      if (key === 0) return 0;
      return key <= before ? 1 : (base[query * order.length + key - before] as number); // in range
    });
  }

  /** Cosines and sines of all places [1 + L, head width]. */
  rotation() {
    const [rows = 1, columns = 1] = this.plan.shape;
    return gridRotation(rows, columns, this.headWidth);
  }

  run(
    x: Tensor,
    places: Tensor,
    layer: (i: number) => CachedOptions,
  ): { readonly heads: Tensor[]; readonly caches: KeyValue[] } {
    const { dim } = this.config;
    const all = this.plan.length + this.prefixLength;
    const config = { ...this.config, vocabSize: this.vocabSize };
    if (this.#form.positions !== "rotary") {
      const table =
        this.#form.positions === "waves"
          ? constant(placeWaves(all, dim), [all, dim])
          : reshape(this.#scope.param("abs_pe", [1, all, dim], llamaInit), [all, dim]);
      const placed = add(x, gatherRows(table, places));
      return llamaLayers(this.#scope, placed, config, this.#form.readouts, { layer });
    }
    const { cos, sin } = this.rotation();
    const at = (table: Float32Array) => gatherRows(constant(table, [all, this.headWidth]), places);
    return llamaLayers(this.#scope, x, config, this.#form.readouts, {
      rotation: { cos: at(cos), sin: at(sin) },
      layer,
    });
  }

  /** Logits [B, 1 + L, V] of every head from labels [B] or given frames [B, K], and all true ids [B, L], row-major. */
  headLogits(labels: Tensor, ids: Tensor): Tensor[] {
    const before = this.prefixLength - 1;
    const length = before + 1 + this.plan.length;
    const bias = constant(biasOf(this.hidden()), [length, length]);
    const x = concat([this.prefix(labels), this.tokens(ids)], 1);
    const places = constant(
      Int32Array.from({ length }, (_, i) => i),
      [length],
    );
    const { heads } = this.run(x, places, () => ({ bias }));
    return before === 0 ? heads : heads.map((head) => slice(head, 1, before, length));
  }

  /** Logits of all sites [B, L, V], row-major. */
  logits(labels: Tensor, ids: Tensor): Tensor {
    return this.readout.combine(this.headLogits(labels, ids));
  }
}

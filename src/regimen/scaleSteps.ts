/**
 * Drawing with a multi-scale tokenizer, between the passes of a transformer: the sum of the codes so far, the next scale's
 * input, the picture. Shape letters: B pictures, C code width, P finest side, N sites of a scale, W width.
 */
import {
  advanceGraph,
  decodeGraph,
  emptyTotal,
  positionsOf,
  stepMatrices,
} from "../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import { decodePictures } from "../decoding/decodePictures.ts";
import type { ProgramStore } from "../decoding/programStore.ts";
import { type LevelledTransformer, positionsGraph } from "../mixer/levelledTransformer.ts";
import type { Scale } from "../plan/types.ts";
import { floats, type Value } from "../runtime/values.ts";

/** Features [B, C, P, P] -> pictures [B, 3, H, W] in [-1, 1]. */
export const decodeFeatures = (
  programs: ProgramStore,
  tokenizer: MultiScaleTokenizer,
  features: Value,
): Promise<Value> =>
  decodePictures(programs, () => decodeGraph(tokenizer), ["features", features], tokenizer.imageSize);

/** What turns a scale into the next one's input. */
export interface ScaleNetworks {
  readonly tokenizer: MultiScaleTokenizer;
  readonly transformer: LevelledTransformer;
}

/** `batch` pictures before their first scale. */
export async function startScales(
  programs: ProgramStore,
  networks: ScaleNetworks,
  batch: number,
): Promise<ScaleWalk> {
  const { positions } = await programs.run("positions", () => positionsGraph(networks.transformer), {});
  return new ScaleWalk(programs, networks, positions?.data as Float32Array, batch); // the graph's output
}

/** Pictures on their way through the scales. */
class ScaleWalk {
  readonly #programs: ProgramStore;
  readonly #networks: ScaleNetworks;
  readonly #table: Float32Array;
  #total: Value;

  constructor(programs: ProgramStore, networks: ScaleNetworks, table: Float32Array, batch: number) {
    this.#programs = programs;
    this.#networks = networks;
    this.#table = table;
    this.#total = emptyTotal(networks.tokenizer, batch);
  }

  /** The running reconstruction of the features [B, C, P, P]. */
  get total(): Value {
    return this.#total;
  }

  /** Positions of a scale [1, N, W]; none without a scale. */
  positions(scale: Scale | undefined): Value {
    return positionsOf(this.#table, scale, this.#networks.transformer.width);
  }

  /** Adds a scale's codes [B * N * C]; gives the embedded input of the next one [B, N, W], undefined after the last. */
  async advance(scale: Scale, codes: Float32Array): Promise<Value | undefined> {
    const { tokenizer, transformer } = this.#networks;
    const next = tokenizer.plan.groups[scale.index + 1];
    const [batch = 0, width = 0] = this.#total.shape;
    const out = await this.#programs.run("advance", () => advanceGraph(tokenizer, transformer), {
      codes: floats(codes, [batch, scale.size, width]),
      total: this.#total,
      ...stepMatrices(tokenizer, scale, next),
      positions: this.positions(next),
    });
    this.#total = out.total as Value; // the graph's output
    return next && out.x;
  }
}

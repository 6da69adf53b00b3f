/**
 * Training VAR's transformer on tokens of a frozen tokenizer: pictures are tokenised once before the first step (with their
 * augmentation), then batches are drawn from the tokens. Label drop and drop path are drawn on the host and enter as data.
 * Source: `trainer.py`, `utils/lr_control.py` (code).
 */
import { dropLabels } from "../../conditioner/classEmbedding.ts";
import type { Loader } from "../../data/loader.ts";
import { EpochOrder, type OrderPosition } from "../../data/order.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import type { Json, TrainingTask } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import type { Graph } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { invariant } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { TransformerConfig } from "./config.ts";
import { VarTransformer } from "./model.ts";
import { transformerTraining } from "./objective.ts";
import { tokenizeGraph } from "./programs.ts";
import type { VarTokenizer } from "./tokenizer.ts";

/** Parameter prefix of the transformer in files that hold both models. */
export const transformerPrefix = "var.";

/** Tokens of pictures: ids [N, L] and labels [N]. */
export interface TokenSet {
  readonly ids: Uint16Array;
  readonly labels: Int32Array;
}

/** Tokenises the next `count` pictures of a loader. `onProgress` gets the number done; `signal` stops between batches. */
export async function tokenise(
  tokenizer: VarTokenizer,
  weights: Weights,
  loader: Loader,
  count: number,
  device: Device,
  onProgress?: (done: number) => void,
): Promise<TokenSet> {
  const { length } = tokenizer.plan;
  const set = { ids: new Uint16Array(count * length), labels: new Int32Array(count) };
  using program = await compile(tokenizeGraph(tokenizer), { device, weights });
  for (let done = 0; done < count; ) {
    const { images, labels } = loader.next();
    const side = tokenizer.imageSize;
    const shape = [labels.length, tokenizer.config.inChannels, side, side];
    const { ids } = await program.run({ images: floats(images, shape) });
    const taken = Math.min(labels.length, count - done);
    set.ids.set((ids as Value).data.subarray(0, taken * length), done * length); // the graph's output
    set.labels.set(labels.subarray(0, taken), done);
    done += taken;
    onProgress?.(done);
  }
  return set;
}

/** No weight decay on vectors, tables and scales. Source: code, `utils/lr_control.py` (filter_params). */
export function undecayed(name: string, shape: readonly number[]): boolean {
  const tables = ["pos_start", "pos_1LC", "lvl_embed", "ada_gss", "scale_mul", "gamma", "beta"];
  return shape.length <= 1 || tables.some((table) => name.includes(table));
}

/** Drop-path rate of a layer: rising linearly over the layers from 0. */
function dropRate({ dropPathRate, depth }: TransformerConfig, layer: number): number {
  return depth === 1 ? dropPathRate : (dropPathRate * layer) / (depth - 1);
}

export interface TransformerTaskOptions {
  readonly batchSize: number;
  readonly seed: number;
}

interface SavedState {
  readonly order: OrderPosition;
  readonly draws: { key: readonly [number, number]; position: number };
}

export class TransformerTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters;
  readonly frozen: Weights;
  readonly model: VarTransformer;
  readonly #tokens: TokenSet;
  readonly #order: EpochOrder;
  #draws: RandomStream;

  constructor(
    tokenizer: VarTokenizer,
    tokenizerWeights: Weights,
    config: TransformerConfig,
    tokens: TokenSet,
    { batchSize, seed }: TransformerTaskOptions,
  ) {
    const scope = Scope.root(transformerPrefix);
    this.model = new VarTransformer(scope, config, tokenizer.config.vocabSize);
    this.graph = transformerTraining(scope, tokenizer, this.model);
    this.parameters = scope.specs;
    this.frozen = tokenizerWeights;
    this.#tokens = tokens;
    const stream = RandomStream.from(seed, "train/order");
    this.#order = new EpochOrder({ length: tokens.labels.length, batchSize, stream, dropLast: true });
    invariant(
      this.#order.batchesPerEpoch > 0,
      "There are at least as many tokenised pictures as in a batch.",
    );
    this.#draws = RandomStream.from(seed, "train/drops");
  }

  async nextBatch() {
    const { length } = this.model.plan;
    const { condDropRate, dropPathRate } = this.model.config;
    const { indices } = this.#order.next();
    const ids = new Int32Array(indices.length * length);
    const known = Int32Array.from(indices, (index) => this.#tokens.labels[index] as number); // index is in range
    const labels = dropLabels(known, this.model.conditioner, condDropRate, () => this.#draws.uniform());
    for (const [i, index] of indices.entries())
      ids.set(this.#tokens.ids.subarray(index * length, (index + 1) * length), i * length);
    return {
      labels: ints(labels, [indices.length]),
      ids: ints(ids, [indices.length, length]),
      ...(dropPathRate > 0 && { keep: this.#keep(indices.length) }),
    };
  }

  /** Per residual branch and picture: 0, or 1 / (1 - rate): [2 depth, B]. */
  #keep(batch: number): Value {
    const { depth } = this.model.config;
    const factors = new Float32Array(2 * depth * batch);
    for (let row = 0; row < 2 * depth; row++) {
      const rate = dropRate(this.model.config, Math.floor(row / 2));
      for (let i = 0; i < batch; i++)
        factors[row * batch + i] = this.#draws.uniform() < rate ? 0 : 1 / (1 - rate);
    }
    return floats(factors, [2 * depth, batch]);
  }

  saveState(): Json {
    const saved: SavedState = { order: this.#order.position, draws: this.#draws.state };
    return saved as unknown as Json; // plain numbers and records
  }

  restoreState(state: Json): void {
    const saved = state as unknown as SavedState; // written by saveState, hashed by the run folder
    this.#order.position = saved.order;
    this.#draws = RandomStream.restore(saved.draws);
  }
}

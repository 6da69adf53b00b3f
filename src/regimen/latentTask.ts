/**
 * Training a model on latents of a frozen codec: batches, dropped labels and draws of latents come from the host; what a
 * step computes, and what else it draws, is a programme.
 */
import { dropLabels } from "../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../conditioner/types.ts";
import { EpochOrder, type OrderPosition } from "../data/order.ts";
import type { ParameterSpec, Weights } from "../nn/scope.ts";
import type { Graph } from "../runtime/trace.ts";
import type { Value } from "../runtime/values.ts";
import { invariant } from "../tensor/errors.ts";
import { type RandomState, RandomStream } from "../tensor/random.ts";
import { drawFromSet, type LatentSet } from "./latentSet.ts";
import { takeOver } from "./takeOver.ts";
import type { Json, TrainingTask } from "./trainer.ts";

/** One micro-batch for a programme. */
export interface LatentBatch {
  /** Labels with a share dropped, [B]. */
  readonly labels: Int32Array;
  /** [B, C, P, P]. */
  readonly latents: Value;
  /** For draws of the programme's own. */
  readonly stream: RandomStream;
}

/** What one step computes, and the values that go into it. */
export interface LatentProgramme {
  readonly graph: Graph;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  values(batch: LatentBatch): Readonly<Record<string, Value>>;
}

export interface LatentTaskOptions {
  readonly batchSize: number;
  readonly seed: number;
  readonly conditioner: Pick<LabelConditioner, "nullLabel">;
  /** Share of labels that are dropped. */
  readonly condDropRate: number;
  /** Weights to begin with instead of random ones. */
  readonly initial: Weights;
}

interface SavedState {
  readonly order: OrderPosition;
  readonly drops: RandomState;
  readonly posterior: RandomState;
  readonly paths: RandomState;
}

export class LatentTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  readonly frozen: Weights = new Map();
  readonly #programme: LatentProgramme;
  readonly #latents: LatentSet;
  readonly #options: LatentTaskOptions;
  readonly #order: EpochOrder;
  #drops: RandomStream;
  #posterior: RandomStream;
  #paths: RandomStream;

  constructor(programme: LatentProgramme, latents: LatentSet, options: LatentTaskOptions) {
    const { batchSize, seed } = options;
    this.graph = programme.graph;
    this.parameters = programme.parameters;
    this.#programme = programme;
    this.#latents = latents;
    this.#options = options;
    const stream = RandomStream.from(seed, "train/order");
    this.#order = new EpochOrder({ length: latents.labels.length, batchSize, stream, dropLast: true });
    invariant(this.#order.batchesPerEpoch > 0, "There are at least as many encoded pictures as in a batch.");
    this.#drops = RandomStream.from(seed, "train/drops");
    this.#posterior = RandomStream.from(seed, "train/posterior");
    this.#paths = RandomStream.from(seed, "train/paths");
  }

  async prepare(weights: Weights): Promise<void> {
    takeOver(weights, this.#options.initial);
  }

  async nextBatch() {
    const { conditioner, condDropRate } = this.#options;
    const { indices } = this.#order.next();
    const known = Int32Array.from(indices, (index) => this.#latents.labels[index] as number); // in range
    return this.#programme.values({
      labels: dropLabels(known, conditioner, condDropRate, () => this.#drops.uniform()),
      latents: drawFromSet(this.#latents, indices, this.#posterior),
      stream: this.#paths,
    });
  }

  saveState(): Json {
    const saved: SavedState = {
      order: this.#order.position,
      drops: this.#drops.state,
      posterior: this.#posterior.state,
      paths: this.#paths.state,
    };
    return saved as unknown as Json; // plain numbers and records
  }

  restoreState(state: Json): void {
    const saved = state as unknown as SavedState; // written by saveState, hashed by the run folder
    this.#order.position = saved.order;
    this.#drops = RandomStream.restore(saved.drops);
    this.#posterior = RandomStream.restore(saved.posterior);
    this.#paths = RandomStream.restore(saved.paths);
  }
}

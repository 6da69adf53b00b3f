/** Training of forecasters: shuffled windows into a training graph. What a forecaster is, its graphs say. */
import { EpochOrder } from "../data/order.ts";
import type { SeriesBatch, WindowSet } from "../data/series/windows.ts";
import type { ParameterSpec, Weights } from "../nn/scope.ts";
import type { Graph } from "../runtime/trace.ts";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { RandomStream } from "../tensor/random.ts";
import type { Json, TrainingTask } from "./trainer.ts";

/** A forecaster that learns. Inputs of its graphs are among `past`, `pastMarks`, `futureMarks` and `future`. */
export interface SeriesTrainee {
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  /** Rows of the look-back that the decoder's marks begin with. */
  readonly labelLength: number;
  /** A training graph as `trainingGraph` makes it. */
  readonly training: Graph;
  /** Output `forecast` [B, O, C]. */
  readonly forecast: Graph;
}

/** The parts of a batch that a graph asks for. */
export function inputsOf({ inputs }: Graph, batch: SeriesBatch): Record<string, Value> {
  return Object.fromEntries(Object.entries(batch).filter(([name]) => Object.hasOwn(inputs, name)));
}

interface SavedState {
  readonly windows: { id: string; split: string; version: string; length: number };
  readonly epoch: number;
  readonly position: number;
}

/** Trains on every window of a split once per epoch, incomplete batches left out (code: drop_last). */
export class SeriesTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  readonly frozen: Weights = new Map();
  readonly #windows: WindowSet;
  readonly #labelLength: number;
  readonly #order: EpochOrder;

  /** @throws NextxError DATA_BAD_BATCH_SIZE */
  constructor(trainee: SeriesTrainee, windows: WindowSet, batchSize: number, seed: number) {
    if (!(Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= windows.length)) {
      throw new NextxError(
        "DATA_BAD_BATCH_SIZE",
        `A batch has 1 to ${windows.length} windows, got ${batchSize}.`,
        {
          path: "batchSize",
        },
      );
    }
    this.graph = trainee.training;
    this.parameters = trainee.parameters;
    this.#labelLength = trainee.labelLength;
    this.#windows = windows;
    this.#order = new EpochOrder({
      length: windows.length,
      batchSize,
      dropLast: true,
      stream: RandomStream.from(seed, "data/order"),
    });
  }

  get batchesPerEpoch(): number {
    return this.#order.batchesPerEpoch;
  }

  async nextBatch() {
    const { indices } = this.#order.next();
    return inputsOf(this.graph, this.#windows.batch(indices, this.#labelLength));
  }

  #source(): SavedState["windows"] {
    const { id, split, version, length } = this.#windows;
    return { id, split, version, length };
  }

  saveState(): Json {
    return { windows: this.#source(), ...this.#order.position };
  }

  /** @throws NextxError DATA_STATE_MISMATCH */
  restoreState(state: Json): void {
    const saved = state as unknown as SavedState; // written by saveState, hashed by the run folder
    if (JSON.stringify(saved.windows) !== JSON.stringify(this.#source())) {
      throw new NextxError("DATA_STATE_MISMATCH", "The saved run reads other windows.", {
        path: "windows",
        hint: "Resume with the data and the sizes that the run was started with.",
      });
    }
    this.#order.position = { epoch: saved.epoch, position: saved.position };
  }
}

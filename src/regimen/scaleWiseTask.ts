/**
 * Training a scale-wise model on tokens of a frozen tokenizer: batches, dropped labels, drop path and schedules are drawn
 * on the host and enter as data; what a step computes is a programme. Source: `trainer.py`, `utils/lr_control.py` of VAR
 * and FlexVAR (code).
 */
import { dropLabels } from "../conditioner/classEmbedding.ts";
import { EpochOrder, type OrderPosition } from "../data/order.ts";
import type { ParameterSpec, Weights } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import type { Graph } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import { invariant } from "../tensor/errors.ts";
import { type RandomState, RandomStream } from "../tensor/random.ts";
import type { ScaleWiseModel, Values } from "./scaleWise.ts";
import { takeOver } from "./takeOver.ts";
import { selectTokens, type TokenSet } from "./tokenSet.ts";
import type { BatchContext, Json, TrainingTask } from "./trainer.ts";

/** One micro-batch for a programme. */
export interface ProgrammeBatch extends BatchContext {
  /** Labels with a share dropped. */
  readonly labels: Int32Array;
  /** Another draw of dropped labels for the same pictures. */
  dropAgain(): Int32Array;
  /** True tokens [B * L]. */
  readonly ids: Int32Array;
  readonly plan: Plan<Scale>;
  /** For draws of the programme's own. */
  readonly stream: RandomStream;
}

/** What one step computes, and the values that go into it. */
export interface Programme {
  readonly graph: Graph;
  /** Weights that the graph uses and that do not train, compiled in. */
  readonly frozen: Weights;
  /** Names of its drop-path inputs. */
  readonly keeps: readonly string[];
  values(batch: ProgrammeBatch): Promise<Values>;
  dispose?(): void;
}

/** What the draws of a step depend on. */
export type DrawnModel = Pick<ScaleWiseModel, "conditioner" | "condDropRate" | "dropPathRate" | "depth">;

export interface ScaleWiseTaskOptions {
  readonly batchSize: number;
  readonly seed: number;
  /** Schedule of a micro-batch. */
  plan(stream: RandomStream): Plan<Scale>;
  /** Weights to begin with instead of random ones. */
  readonly initial?: Weights;
}

/** No weight decay on vectors, tables and scales. Source: code, `utils/lr_control.py` (filter_params). */
export function undecayed(name: string, shape: readonly number[]): boolean {
  const tables = ["pos_start", "pos_1LC", "lvl_embed", "ada_gss", "scale_mul", "gamma", "beta"];
  return shape.length <= 1 || tables.some((table) => name.includes(table));
}

interface SavedState {
  readonly order: OrderPosition;
  readonly draws: RandomState;
  /** Absent in runs begun before schedules and rollouts were drawn. */
  readonly schedule?: RandomState;
  readonly rollout?: RandomState;
}

export class ScaleWiseTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  readonly frozen: Weights;
  readonly #model: DrawnModel;
  readonly #programme: Programme;
  readonly #tokens: TokenSet;
  readonly #options: ScaleWiseTaskOptions;
  readonly #order: EpochOrder;
  #draws: RandomStream;
  #schedule: RandomStream;
  #rollout: RandomStream;

  constructor(
    model: DrawnModel,
    programme: Programme,
    parameters: ReadonlyMap<string, ParameterSpec>,
    tokens: TokenSet,
    options: ScaleWiseTaskOptions,
  ) {
    this.#model = model;
    this.#programme = programme;
    this.graph = programme.graph;
    this.frozen = programme.frozen;
    this.parameters = parameters;
    this.#tokens = tokens;
    this.#options = options;
    const { batchSize, seed } = options;
    const stream = RandomStream.from(seed, "train/order");
    this.#order = new EpochOrder({ length: tokens.labels.length, batchSize, stream, dropLast: true });
    invariant(
      this.#order.batchesPerEpoch > 0,
      "There are at least as many tokenised pictures as in a batch.",
    );
    this.#draws = RandomStream.from(seed, "train/drops");
    this.#schedule = RandomStream.from(seed, "train/schedule");
    this.#rollout = RandomStream.from(seed, "train/rollout");
  }

  async prepare(weights: Weights): Promise<void> {
    takeOver(weights, this.#options.initial);
  }

  async nextBatch(context: BatchContext): Promise<Values> {
    const { indices } = this.#order.next();
    const plan = this.#options.plan(this.#schedule);
    const known = Int32Array.from(indices, (index) => this.#tokens.labels[index] as number); // index is in range
    const drop = () =>
      dropLabels(known, this.#model.conditioner, this.#model.condDropRate, () => this.#draws.uniform());
    const labels = drop();
    const values = await this.#programme.values({
      ...context,
      labels,
      dropAgain: drop,
      ids: selectTokens(this.#tokens, indices, plan),
      plan,
      stream: this.#rollout,
    });
    if (this.#model.dropPathRate === 0) return values;
    const keeps = this.#programme.keeps.map((name) => [name, this.#keep(indices.length)] as const);
    return { ...values, ...Object.fromEntries(keeps) };
  }

  /** Per residual branch and picture: 0, or 1 / (1 - rate), the rate rising linearly from 0 over the layers: [2 depth, B]. */
  #keep(batch: number): Value {
    const { depth, dropPathRate } = this.#model;
    const factors = new Float32Array(2 * depth * batch);
    for (let row = 0; row < 2 * depth; row++) {
      const rate = (dropPathRate * Math.floor(row / 2)) / Math.max(1, depth - 1);
      for (let i = 0; i < batch; i++)
        factors[row * batch + i] = this.#draws.uniform() < rate ? 0 : 1 / (1 - rate);
    }
    return floats(factors, [2 * depth, batch]);
  }

  saveState(): Json {
    const saved: SavedState = {
      order: this.#order.position,
      draws: this.#draws.state,
      schedule: this.#schedule.state,
      rollout: this.#rollout.state,
    };
    return saved as unknown as Json; // plain numbers and records
  }

  restoreState(state: Json): void {
    const saved = state as unknown as SavedState; // written by saveState, hashed by the run folder
    this.#order.position = saved.order;
    this.#draws = RandomStream.restore(saved.draws);
    if (saved.schedule) this.#schedule = RandomStream.restore(saved.schedule);
    if (saved.rollout) this.#rollout = RandomStream.restore(saved.rollout);
  }

  dispose(): void {
    this.#programme.dispose?.();
  }
}

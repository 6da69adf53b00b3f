/**
 * A model's own predictions while it trains: what it says on a true past in one pass, and what it says on its own past,
 * scale by scale. One program serves both; weights are fed with every run, draws happen on the host.
 * Shape letters: B batch, L tokens, V codes.
 */
import { categorical, type SamplingOptions } from "../head/categorical.ts";
import type { Weights } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import type { Device } from "../runtime/device.ts";
import { compile, type Program } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { add, mul, sub } from "../tensor/ops/elementwise.ts";
import { argmaxLast } from "../tensor/ops/gather.ts";
import { reshape } from "../tensor/ops/structure.ts";
import { RandomStream } from "../tensor/random.ts";
import { constant, float32, int32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
import type { ScaleWiseModel } from "./scaleWise.ts";

export interface RolloutOptions {
  /** False takes the likeliest codes. */
  readonly sampling: boolean;
  /** Guidance of drawn picks, in force above 1: t = sfCfg (1 + i / (S - 1)) / 2 at scale i. Source: SAR `trainer.py`. */
  readonly sfCfg: number;
  readonly topK: number;
  readonly topP: number;
}

export const isGuided = ({ sampling, sfCfg }: RolloutOptions): boolean => sampling && sfCfg > 1;

/** Guidance t of every token, [L]. */
export function rolloutGuidance({ groups, length }: Plan<Scale>, sfCfg: number): Float32Array {
  const guidance = new Float32Array(length);
  for (const { index, start, size } of groups) {
    const ratio = groups.length > 1 ? index / (groups.length - 1) : 0;
    guidance.fill(sfCfg * 0.5 * (1 + ratio), start, start + size);
  }
  return guidance;
}

/** Logits [B, L, V] and likeliest codes [B, L] on a past [B, L], guided when asked for. */
export function rolloutGraph(model: ScaleWiseModel, guided: boolean) {
  const { specs, length } = model.whole;
  const all: Record<string, TensorSpec> = {
    labels: int32("B"),
    past: int32("B", length),
    ...specs,
    ...(guided && { guidance: float32(length) }),
  };
  return trace(all, (inputs) => {
    const [labels, past] = [inputs.labels as Tensor, inputs.past as Tensor]; // declared above
    const conditional = model.whole.logits(labels, past, inputs);
    const logits = guided ? guide(model, conditional, inputs) : conditional;
    return { logits, best: argmaxLast(logits) };
  });
}

function guide(model: ScaleWiseModel, conditional: Tensor, inputs: Readonly<Record<string, Tensor>>): Tensor {
  const nothing = constantLabels(inputs.labels as Tensor, model.conditioner.nullLabel);
  const unconditional = model.whole.logits(nothing, inputs.past as Tensor, inputs);
  const t = reshape(inputs.guidance as Tensor, [model.whole.length, 1]);
  return sub(mul(conditional, add(t, 1)), mul(unconditional, t));
}

/** The same label for every row: [B]. */
function constantLabels(labels: Tensor, label: number): Tensor {
  const value = constant(Int32Array.of(label), []);
  return add(mul(labels, constant(Int32Array.of(0), [])), value);
}

/** Where draws come from: one stream for the batch, or one per row, so that a row does not depend on the others. */
export type DrawStreams = RandomStream | readonly RandomStream[];

/** One step's picks. */
export interface RolloutRequest {
  readonly weights: Weights;
  /** As the teacher-forced pass has them: some dropped. */
  readonly labels: Int32Array;
  /** True tokens, [B * L]. */
  readonly truth: Int32Array;
  readonly plan: Plan<Scale>;
}

/** One run of the program: a past [B * L] of `plan`, the first scales of `whole`. */
interface Pass {
  readonly weights: Weights;
  readonly labels: Int32Array;
  readonly past: Int32Array;
  readonly plan: Plan<Scale>;
  /** Guidance grows over all of it. */
  readonly whole: Plan<Scale>;
}

/** Compiled when first used; dispose when done. */
export class Rollout implements Disposable {
  readonly options: RolloutOptions;
  readonly #model: ScaleWiseModel;
  readonly #device: Device;
  readonly #frozen: Weights;
  #program: Promise<Program> | undefined;

  /** `frozen` holds weights that do not train, compiled in. */
  constructor(model: ScaleWiseModel, options: RolloutOptions, frozen: Weights, device: Device) {
    this.#model = model;
    this.options = options;
    this.#frozen = frozen;
    this.#device = device;
  }

  /** Picks [B * L] at every site given the true past. */
  async oneStep({ weights, labels, truth, plan }: RolloutRequest, streams: DrawStreams): Promise<Int32Array> {
    return this.#picks({ weights, labels, past: truth, plan, whole: plan }, plan.groups, streams);
  }

  /** Picks [B * L] given the picks of all earlier scales; the first `forced` scales stay as the truth has them. */
  async freeRunning(
    { weights, labels, truth, plan }: RolloutRequest,
    streams: DrawStreams,
    forced = 0,
  ): Promise<Int32Array> {
    const past = Int32Array.from(truth);
    for (const scale of plan.groups.slice(forced)) {
      const prefix = this.#model.prefix(plan, scale.index + 1);
      const cut = sites(past, labels.length, plan.length, prefix.length);
      const picks = await this.#picks(
        { weights, labels, past: cut, plan: prefix, whole: plan },
        [scale],
        streams,
      );
      for (let b = 0; b < labels.length; b++) {
        const from = b * prefix.length + scale.start;
        past.set(picks.subarray(from, from + scale.size), b * plan.length + scale.start);
      }
    }
    return past;
  }

  async #picks(
    { weights, labels, past, plan, whole }: Pass,
    wanted: readonly Scale[],
    streams: DrawStreams,
  ): Promise<Int32Array> {
    const guided = isGuided(this.options);
    this.#program ??= compile(rolloutGraph(this.#model, guided), {
      device: this.#device,
      weights: this.#frozen,
    });
    const program = await this.#program;
    const out = await program.run(
      {
        labels: ints(labels, [labels.length]),
        past: ints(past, [labels.length, plan.length]),
        ...this.#model.whole.values(plan),
        ...(guided && {
          guidance: floats(rolloutGuidance(whole, this.options.sfCfg).subarray(0, plan.length), [
            plan.length,
          ]),
        }),
      },
      weights,
      this.options.sampling ? ["logits", "best"] : ["best"],
    );
    const best = (out.best as Value).data as Int32Array; // the graph's outputs
    if (!this.options.sampling) return best;
    return this.#draw((out.logits as Value).data as Float32Array, best, plan, wanted, streams);
  }

  #draw(
    logits: Float32Array,
    best: Int32Array,
    plan: Plan<Scale>,
    wanted: readonly Scale[],
    streams: DrawStreams,
  ): Int32Array {
    const options: SamplingOptions = { ...this.options, temperature: 1 };
    const { vocabSize } = this.#model;
    const picks = Int32Array.from(best);
    for (let first = 0; first < best.length; first += plan.length) {
      const row = first / plan.length;
      const stream = streams instanceof RandomStream ? streams : (streams[row] as RandomStream); // one per row
      for (const { start, size } of wanted) {
        for (let i = first + start; i < first + start + size; i++)
          picks[i] = categorical.sample(logits.subarray(i * vocabSize, (i + 1) * vocabSize), options, stream);
      }
    }
    return picks;
  }

  [Symbol.dispose](): void {
    this.#program?.then(
      (program) => program[Symbol.dispose](),
      () => undefined,
    );
  }
}

/** First `to` of `from` tokens of every row. */
function sites(tokens: Int32Array, batch: number, from: number, to: number): Int32Array {
  if (from === to) return tokens;
  const cut = new Int32Array(batch * to);
  for (let b = 0; b < batch; b++) cut.set(tokens.subarray(b * from, b * from + to), b * to);
  return cut;
}

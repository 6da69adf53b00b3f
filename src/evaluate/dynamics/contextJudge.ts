/**
 * Judges a scale-wise model's predictions on any past against the truth and against its own predictions on the true past.
 * Shape letters: B batch, L tokens, V codes.
 */
import { rolloutGraph } from "../../regimen/rollout.ts";
import { divergence, type ScaleWiseModel, tokenLoss } from "../../regimen/scaleWise.ts";
import type { ScaleWiseSubject } from "../../regimen/scaleWiseSubject.ts";
import type { Device } from "../../runtime/device.ts";
import { compile, type Program } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { ints, type Value } from "../../runtime/values.ts";
import { equal } from "../../tensor/ops/elementwise.ts";
import { argmaxLast } from "../../tensor/ops/gather.ts";
import { cast } from "../../tensor/ops/structure.ts";
import { float32, int32, type Tensor } from "../../tensor/tensor.ts";

/** What is measured of every token. */
export const quantities = ["loss", "accuracy", "agreement", "divergence"] as const;
export type Quantity = (typeof quantities)[number];

/**
 * Per token, [B * L]: `loss` -log p(truth) in nats; `accuracy` 1 where the likeliest code is the true one; `agreement` 1
 * where it is the likeliest given the true past; `divergence` KL(given the true past || given this past) in nats.
 */
export type Judgement = Readonly<Record<Quantity, Float32Array>>;

/** True tokens [B * L] and labels of some pictures. */
export interface JudgedBatch {
  readonly labels: Int32Array;
  readonly truth: Int32Array;
}

function judgeGraph(model: ScaleWiseModel) {
  const { specs, length } = model.whole;
  const all = {
    labels: int32("B"),
    truth: int32("B", length),
    past: int32("B", length),
    teacher: float32("B", length, model.vocabSize),
    ...specs,
  };
  return trace(all, (inputs) => {
    const [labels, truth] = [inputs.labels as Tensor, inputs.truth as Tensor]; // declared above
    const [past, teacher] = [inputs.past as Tensor, inputs.teacher as Tensor];
    const logits = model.whole.logits(labels, past, inputs);
    const best = argmaxLast(logits);
    return {
      loss: tokenLoss(logits, truth),
      accuracy: cast(equal(best, truth), "float32"),
      agreement: cast(equal(best, argmaxLast(teacher)), "float32"),
      divergence: divergence(teacher, logits, truth),
    };
  });
}

/** Holds two compiled programs; dispose when done. */
export class ContextJudge implements Disposable {
  readonly #subject: ScaleWiseSubject;
  readonly #teacher: Program;
  readonly #judge: Program;

  private constructor(subject: ScaleWiseSubject, teacher: Program, judge: Program) {
    this.#subject = subject;
    this.#teacher = teacher;
    this.#judge = judge;
  }

  static async create(subject: ScaleWiseSubject, device: Device): Promise<ContextJudge> {
    const { weights } = subject.tokenizer;
    const teacher = await compile(rolloutGraph(subject.model, false), { device, weights });
    try {
      return new ContextJudge(
        subject,
        teacher,
        await compile(judgeGraph(subject.model), { device, weights }),
      );
    } catch (error) {
      teacher[Symbol.dispose]();
      throw error;
    }
  }

  /** A judge of any past [B * L] of these pictures. */
  async over({ labels, truth }: JudgedBatch): Promise<(past: Int32Array) => Promise<Judgement>> {
    const { model, tokenizer } = this.#subject;
    const { plan } = tokenizer;
    const shape = [labels.length, plan.length];
    const fixed = { labels: ints(labels, [labels.length]), ...model.whole.values(plan) };
    const { logits } = await this.#teacher.run({ ...fixed, past: ints(truth, shape) });
    const given = { ...fixed, truth: ints(truth, shape), teacher: logits as Value }; // the graph's output
    return async (past) => {
      const out = await this.#judge.run({ ...given, past: ints(past, shape) });
      const data = (name: Quantity) => (out[name] as Value).data as Float32Array; // the graph's outputs
      return {
        loss: data("loss"),
        accuracy: data("accuracy"),
        agreement: data("agreement"),
        divergence: data("divergence"),
      };
    };
  }

  [Symbol.dispose](): void {
    this.#teacher[Symbol.dispose]();
    this.#judge[Symbol.dispose]();
  }
}

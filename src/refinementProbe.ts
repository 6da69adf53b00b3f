/**
 * What one step on its own past does to a scale-wise model while it trains: the same held-out pictures at the model's own
 * schedule and the same random numbers at every look, so that only the weights make a difference. The measures are those
 * of `nextx dynamics`.
 */
import type { Weights } from "./nn/scope.ts";
import { Rollout } from "./regimen/rollout.ts";
import { divergence, type ScaleWiseModel, tokenLoss } from "./regimen/scaleWise.ts";
import type { ScaleWiseSubject } from "./regimen/scaleWiseSubject.ts";
import { selectTokens, type TokenSet } from "./regimen/tokenSet.ts";
import type { Device } from "./runtime/device.ts";
import { compile, type Program } from "./runtime/program.ts";
import { trace } from "./runtime/trace.ts";
import { ints, type Value } from "./runtime/values.ts";
import { equal } from "./tensor/ops/elementwise.ts";
import { argmaxLast } from "./tensor/ops/gather.ts";
import { mean } from "./tensor/ops/neural.ts";
import { cast } from "./tensor/ops/structure.ts";
import { RandomStream } from "./tensor/random.ts";
import { int32, type Tensor } from "./tensor/tensor.ts";

/** Means over all tokens of the held-out pictures. */
export interface ProbeLook {
  /** Cross-entropy on the true past, nats per token. */
  readonly loss: number;
  /** Share of tokens whose likeliest code after one step of its own is the one on the true past. */
  readonly agreement: number;
  /** KL(true past || one step of its own), nats per token. */
  readonly divergence: number;
}

function probeGraph(model: ScaleWiseModel) {
  const { specs, length } = model.whole;
  const all = { labels: int32("B"), truth: int32("B", length), past: int32("B", length), ...specs };
  return trace(all, (inputs) => {
    const [labels, truth] = [inputs.labels as Tensor, inputs.truth as Tensor]; // declared above
    const teacher = model.whole.logits(labels, truth, inputs);
    const own = model.whole.logits(labels, inputs.past as Tensor, inputs);
    const agrees = equal(argmaxLast(own), argmaxLast(teacher));
    return {
      loss: mean(tokenLoss(teacher, truth)),
      agreement: mean(cast(agrees, "float32")),
      divergence: mean(divergence(teacher, own, truth)),
    };
  });
}

/** Draws as the model predicts, nothing cut off, no guidance: as `nextx dynamics` does. */
const plainDraws = { sampling: true, sfCfg: 1, topK: 0, topP: 0 } as const;

export interface ProbeOptions {
  readonly device: Device;
  readonly seed: number;
  /** Weights that do not train, compiled in. */
  readonly frozen: Weights;
}

/** Holds compiled programs; dispose when done. */
export class RefinementProbe implements Disposable {
  readonly #subject: ScaleWiseSubject;
  readonly #tokens: TokenSet;
  readonly #seed: number;
  readonly #program: Program;
  readonly #rollout: Rollout;

  private constructor(
    subject: ScaleWiseSubject,
    tokens: TokenSet,
    { device, seed, frozen }: ProbeOptions,
    program: Program,
  ) {
    this.#subject = subject;
    this.#tokens = tokens;
    this.#seed = seed;
    this.#program = program;
    this.#rollout = new Rollout(subject.model, plainDraws, frozen, device);
  }

  static async create(
    subject: ScaleWiseSubject,
    tokens: TokenSet,
    options: ProbeOptions,
  ): Promise<RefinementProbe> {
    const { device, frozen } = options;
    const program = await compile(probeGraph(subject.model), { device, weights: frozen });
    return new RefinementProbe(subject, tokens, options, program);
  }

  /** Pictures of every look. */
  get pictures(): number {
    return this.#tokens.labels.length;
  }

  /** Measures these weights. */
  async look(weights: Weights): Promise<ProbeLook> {
    const { model, tokenizer } = this.#subject;
    const { plan } = tokenizer;
    const { labels } = this.#tokens;
    const truth = selectTokens(this.#tokens, [...labels.keys()], plan);
    const root = RandomStream.from(this.#seed, "probe/one-step");
    const streams = Array.from(labels, (_, picture) => root.fork(picture));
    const past = await this.#rollout.oneStep({ weights, labels, truth, plan }, streams);
    const shape = [labels.length, plan.length];
    const out = await this.#program.run(
      {
        labels: ints(labels, [labels.length]),
        truth: ints(truth, shape),
        past: ints(past, shape),
        ...model.whole.values(plan),
      },
      weights,
    );
    const number = (name: string) => (out[name] as Value).data[0] as number; // the graph's scalars
    return { loss: number("loss"), agreement: number("agreement"), divergence: number("divergence") };
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
    this.#rollout[Symbol.dispose]();
  }
}

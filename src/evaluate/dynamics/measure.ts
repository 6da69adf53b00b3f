/**
 * Training dynamics of a scale-wise model on held-out tokens: what it knows on the true past, what is left of it on its own
 * past, how far an error travels, and where the difficulty lies. Source of the questions: SAR, arXiv 2512.06421, section 3
 * (train-test mismatch, unequal difficulty of scales); the measures are ours.
 */
import { flipToken } from "../../context/pastSources.ts";
import { throwIfAborted } from "../../decoding/loop.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { Rollout } from "../../regimen/rollout.ts";
import type { ScaleWiseSubject } from "../../regimen/scaleWiseSubject.ts";
import { selectTokens, type TokenSet } from "../../regimen/tokenSet.ts";
import type { Device } from "../../runtime/device.ts";
import { RandomStream } from "../../tensor/random.ts";
import { ContextJudge, type Judgement, type Quantity, quantities } from "./contextJudge.ts";
import { type PerScale, ScaleMeans } from "./scaleMeans.ts";

/** What is measured of a model on one kind of past. */
export type PastReport = Readonly<Record<Quantity, PerScale>>;

/** Where the information of a picture is, by the model on the true past. */
export interface Difficulty {
  /** Bits per picture of each scale: tokens * loss / ln 2. */
  readonly bits: readonly number[];
  /** Parts of all bits, which sum to 1; zeros where nothing is uncertain. */
  readonly share: readonly number[];
  /** Parts of all tokens. */
  readonly tokenShare: readonly number[];
  readonly totalBits: number;
}

export interface Dynamics {
  /** Pictures. */
  readonly count: number;
  readonly seed: number;
  /** Probability with which a token of the corrupted scale is drawn anew. */
  readonly corruptRate: number;
  /** Side of every scale. */
  readonly sides: readonly number[];
  readonly vocabSize: number;
  /** Every past scale is the truth. */
  readonly truePast: PastReport;
  /** Every past scale is drawn from the model's prediction given the TRUE scales before it: one step of its own. */
  readonly oneStep: PastReport;
  /** Every past scale is drawn from the model's prediction given its OWN scales before it, as when it samples, unguided. */
  readonly freeRunning: PastReport;
  /** Entry s: the truth with scale s corrupted. Scales up to s see nothing of it. */
  readonly corrupted: readonly PastReport[];
  readonly difficulty: Difficulty;
}

/** What was measured, of what, on what: enough to trust and redo the numbers. */
export interface DynamicsReport extends Dynamics {
  readonly model: { readonly name: string; readonly sha256: string; readonly system: string };
  readonly data: {
    readonly set: string;
    readonly split: string;
    readonly version: string;
    readonly size: number;
  };
  readonly runtime: string;
}

export interface MeasureDynamicsOptions {
  readonly device: Device;
  /** Seed of rollouts and corruption. */
  readonly seed: number;
  /** Share of a corrupted scale's tokens; 0 leaves the past as it is and saves a pass per scale. */
  readonly corruptRate: number;
  readonly signal?: AbortSignal;
  /** Finished pictures. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Logits [B, L, V] of a batch stay below this many numbers, and a batch below this many pictures. */
const mostLogits = 2 ** 24;
const mostPictures = 32;
/** Draws as the model predicts, nothing cut off, no guidance. */
const plainDraws = { sampling: true, sfCfg: 1, topK: 0, topP: 0 } as const;

class PastMeans {
  readonly #means: Readonly<Record<Quantity, ScaleMeans>>;

  constructor(plan: Plan<Scale>) {
    const made = () => new ScaleMeans(plan);
    this.#means = { loss: made(), accuracy: made(), agreement: made(), divergence: made() };
  }

  add(judgement: Judgement): void {
    for (const quantity of quantities) this.#means[quantity].add(judgement[quantity]);
  }

  result(): PastReport {
    const { loss, accuracy, agreement, divergence } = this.#means;
    return {
      loss: loss.result(),
      accuracy: accuracy.result(),
      agreement: agreement.result(),
      divergence: divergence.result(),
    };
  }
}

/** A stream of its own for every picture of a batch. */
function streamsOf(seed: number, purpose: string, first: number, count: number): RandomStream[] {
  const root = RandomStream.from(seed, `dynamics/${purpose}`);
  return Array.from({ length: count }, (_, i) => root.fork(first + i));
}

/** The truth [B * L] with tokens of one scale drawn anew, each with probability `rate`. */
export function corruptScale(
  truth: Int32Array,
  plan: Plan<Scale>,
  { start, size }: Scale,
  { rate, vocabSize, streams }: { rate: number; vocabSize: number; streams: readonly RandomStream[] },
): Int32Array {
  const past = Int32Array.from(truth);
  for (const [row, stream] of streams.entries()) {
    const first = row * plan.length + start;
    for (let i = first; i < first + size; i++)
      past[i] = flipToken(past[i] as number, rate, vocabSize, stream);
  }
  return past;
}

function difficultyOf({ groups, length }: Plan<Scale>, loss: PerScale): Difficulty {
  const bits = groups.map(({ size }, s) => (size * (loss.scales[s] as number)) / Math.LN2); // one per scale
  const totalBits = bits.reduce((sum, value) => sum + value, 0);
  return {
    bits,
    share: bits.map((value) => (totalBits > 0 ? value / totalBits : 0)),
    tokenShare: groups.map(({ size }) => size / length),
    totalBits,
  };
}

/** Means over everything that has been judged. */
class DynamicsMeans {
  readonly truePast: PastMeans;
  readonly oneStep: PastMeans;
  readonly freeRunning: PastMeans;
  readonly corrupted: readonly PastMeans[];

  constructor(plan: Plan<Scale>) {
    this.truePast = new PastMeans(plan);
    this.oneStep = new PastMeans(plan);
    this.freeRunning = new PastMeans(plan);
    this.corrupted = plan.groups.map(() => new PastMeans(plan));
  }
}

/** Pictures that go through the model at once. */
function batchSizeOf({ model, tokenizer }: ScaleWiseSubject): number {
  const fitting = Math.floor(mostLogits / (tokenizer.plan.length * model.vocabSize));
  return Math.min(mostPictures, Math.max(1, fitting));
}

/**
 * Measures a model on held-out tokens that hold every side of its schedule. The same seed gives the same numbers, and a
 * picture's draws do not depend on the others. Errors: ABORTED.
 */
export async function measureDynamics(
  subject: ScaleWiseSubject,
  tokens: TokenSet,
  options: MeasureDynamicsOptions,
): Promise<Dynamics> {
  const { device, seed, corruptRate, signal, onProgress } = options;
  const { plan, weights } = subject.tokenizer;
  const { vocabSize } = subject.model;
  const [count, most] = [tokens.labels.length, batchSizeOf(subject)];
  const means = new DynamicsMeans(plan);
  using judge = await ContextJudge.create(subject, device);
  using rollout = new Rollout(subject.model, plainDraws, weights, device);
  for (let first = 0; first < count; first += most) {
    throwIfAborted(signal);
    const pictures = Array.from({ length: Math.min(most, count - first) }, (_, i) => first + i);
    const truth = selectTokens(tokens, pictures, plan);
    const labels = tokens.labels.slice(first, first + pictures.length);
    const streams = (purpose: string) => streamsOf(seed, purpose, first, pictures.length);
    const request = { labels, truth, plan, weights: new Map() };
    const judged = await judge.over({ labels, truth });
    const undisturbed = await judged(truth);
    means.truePast.add(undisturbed);
    means.oneStep.add(await judged(await rollout.oneStep(request, streams("one-step"))));
    throwIfAborted(signal);
    means.freeRunning.add(await judged(await rollout.freeRunning(request, streams("free-running"))));
    for (const [s, scale] of plan.groups.entries()) {
      throwIfAborted(signal);
      const corruption = { rate: corruptRate, vocabSize, streams: streams(`corrupt/${scale.side}`) };
      const past = corruptScale(truth, plan, scale, corruption);
      means.corrupted[s]?.add(corruptRate === 0 ? undisturbed : await judged(past));
    }
    onProgress?.(first + pictures.length, count);
  }
  return { count, seed, corruptRate, vocabSize, ...resultOf(plan, means) };
}

function resultOf(plan: Plan<Scale>, means: DynamicsMeans) {
  const truePast = means.truePast.result();
  return {
    sides: plan.groups.map(({ side }) => side),
    truePast,
    oneStep: means.oneStep.result(),
    freeRunning: means.freeRunning.result(),
    corrupted: means.corrupted.map((past) => past.result()),
    difficulty: difficultyOf(plan, truePast.loss),
  };
}

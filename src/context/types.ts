/** The context axis: what each position may see, and where the past comes from in training. */
import type { Plan } from "../plan/types.ts";
import type { RandomStream } from "../tensor/random.ts";

/** Says which keys a query must not see. */
export interface Visibility {
  readonly name: string;
  /** length x length flags, row = query, 1 = hidden; sites need not stand in the order of their groups. */
  hidden(order: Pick<Plan, "length" | "groupOf">): Uint8Array;
}

/** What the model itself says, asked for while it trains; [B * L] tokens. */
export interface OwnPredictions {
  /** At every site, given the true past: one pass. */
  oneStep(): Promise<Int32Array>;
  /** Given its own past; the first `forced` groups stay true. */
  freeRunning(forced?: number): Promise<Int32Array>;
}

/** One step that needs a past. */
export interface PastRequest {
  /** True tokens, [B * L]. */
  readonly truth: Int32Array;
  readonly plan: Plan;
  readonly vocabSize: number;
  /** Finished optimiser steps. */
  readonly step: number;
  readonly stream: RandomStream;
  readonly own: OwnPredictions;
}

/** Where the tokens that a model sees as its past come from while it trains. */
export interface PastSource {
  readonly name: string;
  /** The past [B * L] of a step. */
  past(request: PastRequest): Promise<Int32Array>;
}

/** Where groups of continuous values take their past from in training, as noise times between 0 (clean) and 1. */
export interface NoisyPast {
  readonly name: string;
  /** A clean copy of the earlier groups stands before the noisy ones; else the noisy groups are each other's past. */
  readonly cleanCopy: boolean;
  /** Times of a picture's groups, in order, from as many independent draws. */
  times(draws: readonly number[]): readonly number[];
}

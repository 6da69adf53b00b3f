/** Sides of a contest of image models, and where their tokenizers come from. */
import type { Weights } from "../../nn/scope.ts";
import type { ModelDescription, Stage } from "../../regimen/system.ts";
import { multiplyAdds } from "../../runtime/cost.ts";
import type { Device } from "../../runtime/device.ts";
import type { Graph } from "../../runtime/trace.ts";
import type { Sampler } from "../judging.ts";

/** A tokenizer that an arm of the contest trains. */
export interface TrainedTokenizer {
  readonly name: string;
  /** Parameter names begin with it. */
  readonly prefix: string;
  /** Recipe parts that decide it, as JSON. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /** Of the file that holds it alone. */
  readonly description: ModelDescription;
  stage(): Stage;
  /** Pictures through it and back. */
  roundTrip(): Graph;
}

/** The tokenizer of a shipped model. */
export interface ShippedTokenizer {
  readonly name: string;
  readonly prefix: string;
  readonly model: string;
  readonly sha256: string;
}

export type Tokenizer = TrainedTokenizer | ShippedTokenizer;

/** How a side learns. */
export interface SideTraining {
  /** Names of the parameters that it gives begin with it. */
  readonly prefix: string;
  /** Training steps; `work` gives the multiply-adds of one step of a side. */
  steps(work: (side: string) => number): number;
  stage(steps: number): Stage;
  /** Multiply-adds of one training step. */
  stepWork(): number;
}

/** One model that takes part. */
export interface Side {
  readonly name: string;
  readonly description: ModelDescription;
  /** Name of its tokenizer; sides that share one share its tokens. */
  readonly tokenizer: string;
  /** Sides whose trained weights it has, besides the tokenizer's, before its own. */
  readonly from?: readonly string[];
  /** Absent where it only samples the weights of `from` in another way. */
  readonly training?: SideTraining;
  /** Sampling settings besides guidance. */
  readonly sampling?: Readonly<Record<string, unknown>>;
  /** The side whose chosen guidance it takes; it chooses its own when absent. */
  readonly guidanceOf?: string;
  /** Seeds, where they are not the contest's: an ablation has one. */
  readonly seeds?: readonly number[];
  /** Its arms only add to figures and measures: a result stands without them. */
  readonly isExtra?: true;
  open(weights: Weights, device: Device): Promise<Sampler & Disposable>;
}

export interface ContestOptions {
  readonly set: string;
  /** Pixels along a side. */
  readonly size: number;
  readonly seeds: readonly number[];
  /** Judged samples, and held-out pictures that they are compared with. */
  readonly samples: number;
  readonly guidanceGrid: readonly number[];
  readonly guidanceSamples: number;
  /** Whose distances decide a side's guidance: the first network's when absent, or the product of all. */
  readonly guidanceBy?: "product";
}

/** Names of the arms. */
export const contestNames = {
  cost: "pair-cost",
  tokenizer: (tokenizer: string) => `tokenizer-${tokenizer}`,
  roundTrip: (tokenizer: string) => `roundtrip-${tokenizer}`,
  training: (side: string, seed: number) => `pair-${side}-${seed}`,
  guidance: (side: string) => `guidance-${side}`,
  judging: (side: string, seed: number) => `judged-${side}-${seed}`,
};

/** Multiply-adds of one run of a graph over a batch. */
export const graphWork = ({ outputs }: Graph, batchSize: number): number =>
  multiplyAdds(Object.values(outputs), new Map([["B", batchSize]]));

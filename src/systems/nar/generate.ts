/** Generation of NAR and LlamaGen: one pass per group. Source: `generate.py` of both (code). */
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { generateLattice, type LatticeResult } from "../../decoding/latticeGenerator.ts";
import type { ProgramStore } from "../../decoding/programStore.ts";
import { categorical, checkSampling, type SamplingOptions } from "../../head/categorical.ts";
import { invariant } from "../../tensor/errors.ts";
import type { RandomStream } from "../../tensor/random.ts";
import type { LatticeTransformer } from "./model.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Guidance t: logits = (1 + t) conditional - t unconditional; officially written as 1 + t. */
  readonly cfgScale: number;
  /** Guidance ends once more tokens than this were generated after the first one; -1 never ends it. */
  readonly cfgInterval: number;
  readonly signal?: AbortSignal;
}

/** Tokens of a picture per label (or per K tokens of given frames), one stream each; yields after every group. Errors: SAMPLING_, LABEL_, ABORTED. */
export async function* generateTokens(
  model: LatticeTransformer,
  programs: ProgramStore,
  labels: Int32Array,
  options: GenerateOptions,
  streams: readonly RandomStream[],
): AsyncGenerator<LatticeResult> {
  checkSampling(options);
  checkLabels(labels, model.conditioner);
  invariant(streams.length * model.prefixLength === labels.length, "There is one stream per picture.");
  const { vocabSize, conditioner } = model;
  const { cfgScale, cfgInterval, signal } = options;
  yield* generateLattice(model, programs, {
    labels,
    nullLabel: conditioner.nullLabel,
    guidance: ({ start }) => (cfgInterval >= 0 && start > cfgInterval ? 0 : cfgScale),
    choose: (group, { data }) => {
      const tokens = new Int32Array(streams.length * group.size);
      for (let i = 0; i < tokens.length; i++) {
        const row = (data as Float32Array).subarray(i * vocabSize, (i + 1) * vocabSize); // logits are float32
        const stream = streams[Math.floor(i / group.size)] as RandomStream; // checked above
        tokens[i] = categorical.sample(row, options, stream);
      }
      return tokens;
    },
    ...(signal && { signal }),
  });
}

/** A group's tokens, [B * N]. */
export type GroupTokens = Pick<LatticeResult, "group" | "tokens">;

/** Row-major tokens [B, L] of a picture set, from the groups so far; sites to come are 0. */
export function inRowMajor(
  model: LatticeTransformer,
  results: readonly GroupTokens[],
  batch: number,
): Int32Array {
  const { sites, length } = model.plan;
  const out = new Int32Array(batch * length);
  for (const { group, tokens } of results)
    for (const [i, token] of tokens.entries()) {
      const site = sites[group.start + (i % group.size)] as number; // in range
      out[Math.floor(i / group.size) * length + site] = token;
    }
  return out;
}

/**
 * Categorical sampling on the host: top-k, then top-p, then one draw. Source of the filter semantics: VAR
 * `models/helpers.py` (code): ties of the k-th value stay; top-p keeps the best token always.
 */

import { NextxError } from "../tensor/errors.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { Head } from "./types.ts";

/** topK 0 and topP 0 (or 1) switch a filter off; temperature 0 picks the best token. */
export interface SamplingOptions {
  readonly topK: number;
  readonly topP: number;
  readonly temperature: number;
}

/** Errors: SAMPLING_BAD_OPTION. */
export function checkSampling({ topK, topP, temperature }: SamplingOptions): void {
  const fail = (path: string, what: string): never => {
    throw new NextxError("SAMPLING_BAD_OPTION", what, { path });
  };
  if (!Number.isInteger(topK) || topK < 0) fail("topK", `topK is an integer from 0, got ${topK}.`);
  if (!(topP >= 0 && topP <= 1)) fail("topP", `topP is a number from 0 to 1, got ${topP}.`);
  if (!(temperature >= 0 && temperature <= 100))
    fail("temperature", `temperature is a number from 0 to 100, got ${temperature}.`);
}

const RADIX_BITS = 11;
const RADIX = 2 ** RADIX_BITS;
const starts = new Int32Array(RADIX);
/** What no number becomes: NaN, which is never drawn. */
const noWord = 2 ** 32 - 1;

/** Logits as whole numbers, least for the largest logit; equal logits are equal words. */
function orderedWords(logits: Float32Array): Uint32Array {
  const words = new Uint32Array(logits.length);
  const negated = new Float32Array(words.buffer);
  for (let id = 0; id < words.length; id++) {
    const logit = logits[id] as number; // in range
    negated[id] = -logit + 0; // + 0 makes both zeros equal
    const word = words[id] as number; // in range
    words[id] = word ^ ((word >> 31) | 0x80000000); // all bits of what was negative, else the sign: a branch here is a coin toss
    if (Number.isNaN(logit)) words[id] = noWord;
  }
  return words;
}

/** The k-th least of words (1 <= k <= length): their upper bits are counted, and only those of one count are sorted. */
function kthLeast(words: Uint32Array, k: number): number {
  const shift = 32 - RADIX_BITS;
  starts.fill(0);
  for (let i = 0; i < words.length; i++) {
    const digit = (words[i] as number) >>> shift; // all indices are in range
    starts[digit] = (starts[digit] as number) + 1;
  }
  let [digit, before] = [0, 0];
  while (before + (starts[digit] as number) < k) before += starts[digit++] as number;
  const same = new Uint32Array(starts[digit] as number);
  for (let i = 0, at = 0; at < same.length; i++) {
    const word = words[i] as number;
    if (word >>> shift === digit) same[at++] = word;
  }
  return same.sort()[k - 1 - before] as number; // among them
}

/** Sorts ids by their words, least first, stable; `ids` and `spare` are both overwritten, and the sorted one is returned. */
function radixSort(words: Uint32Array, ids: Int32Array, spare: Int32Array): Int32Array {
  let [from, to] = [ids, spare];
  const count = ids.length;
  for (let shift = 0; shift < 32; shift += RADIX_BITS) {
    starts.fill(0);
    for (let i = 0; i < count; i++) {
      const digit = ((words[from[i] as number] as number) >>> shift) % RADIX; // all indices are in range
      starts[digit] = (starts[digit] as number) + 1;
    }
    let start = 0;
    for (let digit = 0; digit < RADIX; digit++) {
      const size = starts[digit] as number;
      starts[digit] = start;
      start += size;
    }
    for (let i = 0; i < count; i++) {
      const id = from[i] as number;
      const digit = ((words[id] as number) >>> shift) % RADIX;
      const place = starts[digit] as number;
      to[place] = id;
      starts[digit] = place + 1;
    }
    [from, to] = [to, from];
  }
  return from;
}

/** Ids of the k largest logits and of those equal to the last of them, best first, ties by id. */
function bestIds(logits: Float32Array, k: number): Int32Array {
  const words = orderedWords(logits);
  const last = Math.min(k < words.length ? kthLeast(words, k) : noWord, noWord - 1);
  const ids = new Int32Array(words.length);
  let count = 0;
  for (let id = 0; id < words.length; id++) {
    ids[count] = id;
    count += (words[id] as number) <= last ? 1 : 0; // in range
  }
  return radixSort(words, ids.subarray(0, count), new Int32Array(count));
}

/** Ids that survive the filters, best first (ties: lowest id first), with their probabilities. */
export function filteredProbabilities(
  logits: Float32Array,
  topK: number,
  topP: number,
): { ids: Int32Array; probabilities: Float64Array } {
  const kept = bestIds(logits, topK > 0 ? topK : logits.length);
  const best = logits[kept[0] ?? 0] ?? 0;
  const weights = new Float64Array(kept.length);
  let total = 0;
  for (let i = 0; i < kept.length; i++) {
    const weight = Math.exp((logits[kept[i] as number] as number) - best); // in range
    weights[i] = weight;
    total += weight;
  }
  let keep = kept.length;
  if (topP > 0 && topP < 1) {
    // Ascending order drops a token while the sum up to and including it is at most 1 - p.
    let tail = 0;
    for (keep = kept.length; keep > 1; keep--) {
      tail += (weights[keep - 1] as number) / total;
      if (tail > 1 - topP) break;
    }
  }
  let sum = 0;
  for (let i = 0; i < keep; i++) sum += weights[i] as number; // in range
  const probabilities = weights.subarray(0, keep);
  for (let i = 0; i < keep; i++) probabilities[i] = (weights[i] as number) / sum; // in range
  return { ids: kept.subarray(0, keep), probabilities };
}

/**
 * One draw from a row of logits [V], and how likely it was among what the filters keep; at temperature 0 the best token, as
 * likely as at temperature 1. Errors: SAMPLING_NOT_FINITE when no logit is finite.
 */
export function drawWithConfidence(
  logits: Float32Array,
  { topK, topP, temperature }: SamplingOptions,
  stream: RandomStream,
): { readonly id: number; readonly confidence: number } {
  const draw = stream.uniform(); // always one draw per token, so that options do not shift the stream
  const scaled = temperature === 0 || temperature === 1 ? logits : logits.map((value) => value / temperature);
  const { ids, probabilities } = filteredProbabilities(scaled, topK, topP);
  const best = ids[0];
  if (best === undefined || !Number.isFinite(logits[best] as number)) {
    throw new NextxError("SAMPLING_NOT_FINITE", "The model gave no finite logit.", {
      hint: "The weights may be damaged.",
    });
  }
  const first = { id: best, confidence: probabilities[0] as number }; // one per id
  if (temperature === 0 || topK === 1) return first;
  let left = draw;
  for (let i = 0; i < ids.length; i++) {
    left -= probabilities[i] as number; // same length
    if (left < 0) return { id: ids[i] as number, confidence: probabilities[i] as number };
  }
  return first;
}

/** One draw from a row of logits [V]. Errors: SAMPLING_NOT_FINITE when no logit is finite. */
function sampleRow(logits: Float32Array, options: SamplingOptions, stream: RandomStream): number {
  const filters = options.temperature === 0 ? { topK: 1, topP: 0 } : {};
  return drawWithConfidence(logits, { ...options, ...filters }, stream).id;
}

/** log softmax of a row at one id. */
function logProb(logits: Float32Array, id: number): number {
  const best = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = logits.reduce((sum, value) => sum + Math.exp(value - best), 0);
  return (logits[id] as number) - best - Math.log(total); // id < V
}

/** One choice among V codes; parameters are logits [V]. Errors: SAMPLING_NOT_FINITE. */
export const categorical: Head<number, SamplingOptions> = { sample: sampleRow, logProb };

/**
 * Gumbel-softmax mixture over the codes that survive the filters: softmax((logits sharpness + gumbel) / tau), gumbel from
 * `exponential` draws [V]. Source: VAR `models/helpers.py` (code), `gumbel_softmax_with_rng`.
 */
export function gumbelMixture(
  logits: Float32Array,
  { topK, topP }: Pick<SamplingOptions, "topK" | "topP">,
  { sharpness, tau, exponential }: { sharpness: number; tau: number; exponential: Float32Array },
): { ids: Int32Array; weights: Float64Array } {
  const { ids } = filteredProbabilities(logits, topK, topP);
  const scores = Float64Array.from(
    ids,
    (id) => ((logits[id] as number) * sharpness - Math.log(exponential[id] as number)) / tau, // id < V
  );
  const best = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - best));
  const total = weights.reduce((a, b) => a + b, 0);
  return { ids, weights: weights.map((weight) => weight / total) };
}

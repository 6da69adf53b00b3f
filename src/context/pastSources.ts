/**
 * Sources of the past in training: the truth, the model's own predictions in several mixtures, noise. Labels stay true.
 * Names in quotes are training modes of SAR `scalear_trainer.py` (code), which mixes them in a hybrid model; how they read
 * for one scale-wise model is inferred.
 */
import type { RandomStream } from "../tensor/random.ts";
import type { PastRequest, PastSource } from "./types.ts";

const source = (name: string, past: PastSource["past"]): PastSource => ({ name, past });

/** Teacher forcing. */
export const groundTruth: PastSource = source("ground truth", async ({ truth }) => truth);

/** The model's pick at every site given a true past: what a pass on shifted predictions sees. */
export const ownPredictions: PastSource = source("own predictions", ({ own }) => own.oneStep());

/** "student_forcing": everything is the model's own, made scale by scale. */
export const freeRunning: PastSource = source("free running", ({ own }) => own.freeRunning());

/** "mixed": the truth in even steps, free running in odd ones. */
export const mixedSteps: PastSource = source("mixed", ({ truth, step, own }) =>
  step % 2 === 0 ? Promise.resolve(truth) : own.freeRunning(),
);

/** "alternating": groups 0, 2, 4, ... are the model's picks, so groups 1, 3, 5, ... build on them; the others are true. */
export const alternatingGroups: PastSource = source("alternating", async (request) => {
  const own = await request.own.oneStep();
  return choose(request, own, (group) => group % 2 === 0);
});

/** "hybrid_tf_sf": the first `forced` groups are true, the rest is free running (code: scales up to 8). */
export function trueThenFree(forced: number): PastSource {
  return source(`${forced} true groups, then free running`, ({ own }) => own.freeRunning(forced));
}

/** A uniformly drawn code instead of the token, with probability `share`. */
export function flipToken(token: number, share: number, vocabSize: number, stream: RandomStream): number {
  return stream.uniform() < share ? stream.integer(vocabSize) : token;
}

/** Each token is replaced by a uniformly drawn code with probability `share`. */
export function tokenFlips(share: number): PastSource {
  return source(`${share} of the tokens flipped`, async ({ truth, vocabSize, stream }) =>
    truth.map((token) => flipToken(token, share, vocabSize, stream)),
  );
}

/** `other` where a group is chosen, the truth elsewhere. */
function choose(
  { truth, plan }: PastRequest,
  other: Int32Array,
  isChosen: (group: number) => boolean,
): Int32Array {
  return truth.map(
    (token, i) => (isChosen(plan.groupOf[i % plan.length] as number) ? (other[i] as number) : token), // same length
  );
}

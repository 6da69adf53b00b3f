/**
 * From the logits of a group to its tokens, on the host: one random stream per picture, so that a picture does not depend
 * on its batch; tokens an edit keeps; codes that are not one row of the codebook.
 */
import type { Group, Plan } from "../plan/types.ts";
import type { Value } from "../runtime/values.ts";
import { invariant } from "../tensor/errors.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { ChoiceSite, ChosenTokens, KeptTokens } from "./types.ts";

export interface ChoiceRules<G extends Group> {
  readonly plan: Plan<G>;
  /** Vectors of the codes, row-major [V, width]. */
  readonly codebook: Float32Array;
  readonly width: number;
  /** One stream per picture. */
  readonly streams: readonly RandomStream[];
  /** One draw from a row of logits [V]. */
  draw(row: Float32Array, site: ChoiceSite<G>, stream: RandomStream): number;
  /** A vector instead of the drawn code's own, for sites that no edit keeps. */
  mix?(row: Float32Array, site: ChoiceSite<G>, stream: RandomStream): Float32Array;
  readonly edit?: KeptTokens;
}

function keptId<G extends Group>(rules: ChoiceRules<G>, site: ChoiceSite<G>): number | undefined {
  const { edit, plan } = rules;
  if (edit?.keep[site.group.index]?.[site.position - site.group.start] !== 1) return undefined;
  return edit.ids[site.picture * plan.length + site.position];
}

/** Tokens of a group from its logits [B, N, V]. */
export function chooseTokens<G extends Group>(rules: ChoiceRules<G>, group: G, logits: Value): ChosenTokens {
  const { codebook, width, streams } = rules;
  const vocabSize = codebook.length / width;
  const count = logits.data.length / vocabSize;
  invariant(count === streams.length * group.size, "There is one stream per picture.");
  const chosen = {
    ids: new Int32Array(count),
    tokens: new Int32Array(count),
    codes: new Float32Array(count * width),
  };
  for (let i = 0; i < count; i++) {
    const picture = Math.floor(i / group.size);
    const site = { group, picture, position: group.start + (i % group.size) };
    const row = (logits.data as Float32Array).subarray(i * vocabSize, (i + 1) * vocabSize); // logits are float32
    const stream = streams[picture] as RandomStream; // one per picture
    const id = rules.draw(row, site, stream);
    const kept = keptId(rules, site);
    const token = kept ?? id;
    chosen.ids[i] = id;
    chosen.tokens[i] = token;
    const mixed = kept === undefined ? rules.mix?.(row, site, stream) : undefined;
    chosen.codes.set(mixed ?? codebook.subarray(token * width, (token + 1) * width), i * width);
  }
  return chosen;
}

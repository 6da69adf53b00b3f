/**
 * Cached generation with guidance, group by group: feeds of the cache, rows of both branches, one guidance weight per
 * group. How logits become tokens and how tokens become the next input is handed in.
 */

import type { Group, Plan } from "../plan/types.ts";
import { floats, type Value } from "../runtime/values.ts";
import { repeat } from "./branches.ts";
import { cachedLayers, stepGraph } from "./groupPrograms.ts";
import { startGroups } from "./groupStart.ts";
import { cacheInputs, cacheNames, emptyCache, grownValues } from "./layerCaches.ts";
import { decodeGroups } from "./loop.ts";
import type { ProgramStore } from "./programStore.ts";
import type { CachedModel, ChosenTokens } from "./types.ts";

/** One generation. */
export interface GroupRequest<G extends Group> {
  readonly plan: Plan<G>;
  /** One label per picture. */
  readonly labels: Int32Array;
  /** The label of the unconditional rows. */
  readonly nullLabel: number;
  /** Guidance t of a group: logits = (1 + t) conditional - t unconditional. All 0: one branch. */
  guidance(group: G): number;
  /** Positions of the first group [1, N0, C]. */
  readonly firstPositions: Value;
  /** Tokens of a group from its logits [B, N, V]. */
  choose(group: G, logits: Value): ChosenTokens;
  /** Embedded input of the next group [B, K, C], positions included; undefined after the last. */
  advance(group: G, chosen: ChosenTokens): Promise<Value | undefined>;
  readonly signal?: AbortSignal;
}

/** A committed group: what was chosen, and from which guided logits [B, N, V]. */
export interface GroupResult<G extends Group> extends ChosenTokens {
  readonly group: G;
  readonly logits: Value;
}

/** Yields every group after it was committed. Errors: ABORTED. */
export async function* generateGroups<G extends Group>(
  model: CachedModel,
  programs: ProgramStore,
  request: GroupRequest<G>,
): AsyncGenerator<GroupResult<G>> {
  const { plan, labels, nullLabel, signal } = request;
  const batch = labels.length;
  const branches = plan.groups.every((group) => request.guidance(group) === 0) ? 1 : 2;
  const start = await startGroups(model, programs, {
    ...{ labels, nullLabel, branches },
    positions: request.firstPositions,
  });
  const names = cacheNames(model.depth);
  const step = await programs.get(`step${branches}`, () => stepGraph(model, branches), { kept: names });
  using cache = emptyCache(cachedLayers(model), branches * batch);
  const last = plan.groups.length - 1;
  let { x } = start;
  const propose = async (group: G): Promise<Value> => {
    const grown = group.index === last ? [] : names; // nothing looks back at the last group
    const inputs = {
      x,
      layers: start.layers,
      head: start.head,
      ...(branches === 2 && { guidance: floats([request.guidance(group)], []) }),
      ...cacheInputs(cache),
    };
    const out = await step.run(inputs, new Map(), ["logits", ...grown]);
    if (group.index !== last)
      cache.commit(grownValues(out, model.depth)); // owned at once: a stop frees them
    else cache[Symbol.dispose](); // the decoder wants the memory
    return out.logits as Value;
  };
  const decoder = {
    propose,
    choose: async (group: G, logits: Value) => request.choose(group, logits),
    commit: async (group: G, choice: ChosenTokens) => {
      const next = await request.advance(group, choice);
      if (next !== undefined) x = repeat(next, branches);
    },
  };
  for await (const { group, proposal, choice } of decodeGroups(plan, decoder, signal)) {
    const { ids, tokens, codes } = choice;
    yield { group, ids, tokens, codes, logits: proposal };
  }
}

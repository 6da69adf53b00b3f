/** The step loop: one group after the other, looking at the abort signal before each model pass. */
import type { Group, Plan } from "../plan/types.ts";
import { NextxError } from "../tensor/errors.ts";
import type { GroupDecoder } from "./types.ts";

/** Errors: ABORTED. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new NextxError("ABORTED", "The work was cancelled.", { cause: signal.reason });
}

/** Decodes every group of a plan in order and yields each group after it was committed. Errors: ABORTED. */
export async function* decodeGroups<G extends Group, Proposal, Choice>(
  plan: Plan<G>,
  decoder: GroupDecoder<G, Proposal, Choice>,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly group: G; readonly proposal: Proposal; readonly choice: Choice }> {
  for (const group of plan.groups) {
    throwIfAborted(signal);
    const proposal = await decoder.propose(group);
    const choice = await decoder.choose(group, proposal);
    throwIfAborted(signal);
    await decoder.commit(group, choice);
    yield { group, proposal, choice };
  }
}

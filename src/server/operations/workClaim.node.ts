/** The arms of a claim, as `nextx claim` runs them. */
import { claim } from "../../claim.node.ts";
import type { ArmEvent } from "../../evaluate/claim/arms.node.ts";
import type { Work, WorkEvent } from "./messages.ts";
import type { WorkContext, Working } from "./working.ts";

type Claiming = Work & { readonly kind: "claim" };

export async function* workClaim(work: Claiming, { setting, signal, onText }: WorkContext): Working {
  const { device, threads, version, dataRoot } = setting;
  const { system, results, arms } = work;
  let verdict: string | undefined;
  const events = claim(system, {
    ...{ out: results, version, signal, device, threads },
    onProgress: onText,
    ...(arms && { arms }),
    ...(dataRoot !== undefined && { dataRoot }),
  });
  for await (const event of events) {
    if (event.kind === "judged") verdict = event.result.verdict;
    else if (event.kind !== "measured") yield armEvent(event);
  }
  return { outcome: "finished", ...(verdict !== undefined && { result: { verdict } }) };
}

function armEvent(event: ArmEvent): WorkEvent {
  const arm = "row" in event ? event.row.arm : event.arm;
  return { kind: "arm", arm, state: event.kind };
}

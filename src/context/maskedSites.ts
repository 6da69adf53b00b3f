/**
 * Masks as a source of the past: in every group but the first, a random part of the sites is hidden and predicted from the
 * others. Source: HMAR `mp_trainer.py` (code): one share per batch, the same sites for all its pictures.
 */
import type { Plan } from "../plan/types.ts";
import type { RandomStream } from "../tensor/random.ts";

/** Sites to mask in each group but the first: ceil(size * share). */
export function maskedCounts({ groups }: Plan, share: number): number[] {
  return groups.slice(1).map(({ size }) => Math.ceil(size * share));
}

/** Flags of all sites after the first group, 1 = masked; `share` in (0, 1] masks at least one site of each group. */
export function drawMask(plan: Plan, share: number, stream: RandomStream): Uint8Array {
  const first = plan.groups[0]?.size ?? 0;
  const flags = new Uint8Array(plan.length - first);
  for (const [i, count] of maskedCounts(plan, share).entries()) {
    const group = plan.groups[i + 1];
    if (group === undefined) continue;
    for (const site of stream.permutation(group.size).subarray(0, count))
      flags[group.start - first + site] = 1;
  }
  return flags;
}

/**
 * Weights of the token losses by scale. Source: HMAR `trainer.py`, `get_loss_weight` (code).
 */
import type { Plan, Scale } from "../plan/types.ts";

export const scaleWeightings = ["plain", "equal", "lognorm"] as const;
export type ScaleWeighting = (typeof scaleWeightings)[number];

/** Share of each scale: a normal density of its mirrored side ratio, standardised; sums to 1. */
function lognormShares(groups: readonly Scale[]): number[] {
  const last = groups.at(-1)?.side ?? 1;
  const ratios = groups.map(({ side }) => side / last);
  const mean = ratios.reduce((a, b) => a + b, 0) / ratios.length;
  const variance = ratios.reduce((sum, ratio) => sum + (ratio - mean) ** 2, 0) / (ratios.length - 1);
  if (!(variance > 0)) return groups.map(() => 1 / groups.length); // one scale
  const densities = [...ratios].reverse().map((ratio) => Math.exp(-((ratio - mean) ** 2) / (2 * variance)));
  const sum = densities.reduce((a, b) => a + b, 0);
  return densities.map((density) => density / sum);
}

/** Weight of every token [L]: 1 / L each; or a scale's share (1 each, or log-normal) spread over its sites. */
export function tokenWeights({ groups, length }: Plan<Scale>, weighting: ScaleWeighting): Float32Array {
  if (weighting === "plain") return new Float32Array(length).fill(1 / length);
  const shares = weighting === "equal" ? groups.map(() => 1) : lognormShares(groups);
  return Float32Array.from(
    groups.flatMap(({ size }, i) => Array<number>(size).fill((shares[i] as number) / size)), // one per scale
  );
}

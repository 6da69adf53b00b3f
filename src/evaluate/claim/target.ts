/**
 * What a claim must reach, as data, and whether numbers reach it. Shared by every claim: no system judges itself.
 */
import { z } from "zod";
import { NextxError } from "../../tensor/errors.ts";

/**
 * `ratio`: mean of the system over mean of the baseline. `relativeChange`: paired by seed, (system - baseline) / baseline.
 * `value`: the system's own numbers. `every` asks it of each seed (pair), `mean` of the mean.
 */
export const targetSchema = z.strictObject({
  quantity: z.enum(["value", "ratio", "relativeChange"]),
  over: z.enum(["mean", "every"]),
  atMost: z.number().optional(),
  atLeast: z.number().optional(),
});
export type Target = z.infer<typeof targetSchema>;

/** A target of several conditions holds when all hold. */
export const targetsSchema = z.array(targetSchema).min(1);

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

function requirePairs(system: readonly number[], baseline: readonly number[]): void {
  if (system.length === baseline.length && system.length > 0) return;
  throw new NextxError(
    "CLAIM_UNPAIRED",
    `A comparison needs as many numbers on both sides, got ${system.length} and ${baseline.length}.`,
  );
}

/** The numbers that a target bounds. @throws NextxError CLAIM_UNPAIRED, CLAIM_EMPTY */
export function quantities(
  target: Target,
  system: readonly number[],
  baseline: readonly number[],
): readonly number[] {
  if (system.length === 0) throw new NextxError("CLAIM_EMPTY", "A measure has no numbers.");
  switch (target.quantity) {
    case "value":
      return target.over === "mean" ? [mean(system)] : system;
    case "ratio": {
      requirePairs(system, baseline);
      if (target.over === "mean") return [mean(system) / mean(baseline)];
      return system.map((value, i) => value / (baseline[i] as number)); // same length
    }
    case "relativeChange": {
      requirePairs(system, baseline);
      const changes = system.map((value, i) => (value - (baseline[i] as number)) / (baseline[i] as number)); // same length
      return target.over === "mean" ? [mean(changes)] : changes;
    }
    default:
      return target.quantity satisfies never;
  }
}

/** Whether all targets hold; a number that is not finite holds nothing. */
export function holds(
  targets: readonly Target[],
  system: readonly number[],
  baseline: readonly number[],
): boolean {
  return targets.every((target) =>
    quantities(target, system, baseline).every(
      (value) =>
        Number.isFinite(value) &&
        value <= (target.atMost ?? Number.POSITIVE_INFINITY) &&
        value >= (target.atLeast ?? Number.NEGATIVE_INFINITY),
    ),
  );
}

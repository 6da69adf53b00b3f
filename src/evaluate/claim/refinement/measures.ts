/** What rows of refinement arms say: the refined model against controls that spent the same multiply-adds, seed by seed. */
import { type ClaimMeasure, numberOf, type Rows } from "../claim.ts";
import type { Target } from "../target.ts";
import { armNames } from "./setting.ts";

/** Whose judged rows are compared. */
export interface Comparison {
  readonly set: string;
  readonly seeds: readonly number[];
  readonly system: string;
  readonly baseline: string;
}

type Told = Omit<ClaimMeasure, "arms" | "numbers" | "baselineName" | "better"> & { readonly number: string };

/** One number of the judged rows, lower being better, paired by seed. */
export function pairedMeasure({ set, seeds, system, baseline }: Comparison, told: Told): ClaimMeasure {
  const { number, ...rest } = told;
  const arms = (method: string) => seeds.map((seed) => armNames.judging(set, method, seed));
  const read = (rows: Rows, method: string) => arms(method).map((arm) => numberOf(rows, arm, number));
  return {
    ...rest,
    better: "lower",
    baselineName: baseline,
    arms: [...arms(system), ...arms(baseline)],
    numbers: (rows) => ({ system: read(rows, system), baseline: read(rows, baseline) }),
  };
}

/** Paired change of the mean over seeds. */
export const meanChange = (atMost: number): Target => ({ quantity: "relativeChange", over: "mean", atMost });
/** Better for every seed. */
export const everySeed: Target = { quantity: "relativeChange", over: "every", atMost: 0 };

/** Multiply-adds of a step of one method over those of another. */
export function stepCost(set: string, system: string, baseline: string): ClaimMeasure {
  const arm = armNames.cost(set);
  return {
    name: `multiply-adds of a ${system} step over a plain step, ${set}`,
    unit: "multiply-adds",
    better: "lower",
    baselineName: baseline,
    target: [{ quantity: "ratio", over: "mean", atMost: 2.5 }],
    headline: false,
    arms: [arm],
    numbers: (rows) => ({ system: [numberOf(rows, arm, system)], baseline: [numberOf(rows, arm, baseline)] }),
  };
}

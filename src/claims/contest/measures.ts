/** What judged rows of a contest say: one side against another, seed by seed. */
import { type ClaimMeasure, numberOf, type Rows } from "../../evaluate/claim/claim.ts";
import type { Target } from "../../evaluate/claim/target.ts";
import { contestNames } from "./side.ts";

/** Paired relative change, averaged over seeds. */
export const meanChange = (bounds: { readonly atMost?: number; readonly atLeast?: number }): Target => ({
  quantity: "relativeChange",
  over: "mean",
  ...bounds,
});

/** Whose judged rows are compared, for which seeds. */
export interface Rivals {
  readonly system: string;
  readonly baseline: string;
  readonly baselineName: string;
  readonly seeds: readonly number[];
}

type Told = Pick<ClaimMeasure, "name" | "unit" | "better" | "target" | "headline"> & {
  readonly number: string;
};

/** One number of the judged rows, paired by seed. */
export function pairedMeasure({ system, baseline, baselineName, seeds }: Rivals, told: Told): ClaimMeasure {
  const { number, ...rest } = told;
  const arms = (side: string) => seeds.map((seed) => contestNames.judging(side, seed));
  const read = (rows: Rows, side: string) => arms(side).map((arm) => numberOf(rows, arm, number));
  return {
    ...rest,
    baselineName,
    arms: [...arms(system), ...arms(baseline)],
    numbers: (rows) => ({ system: read(rows, system), baseline: read(rows, baseline) }),
  };
}

/** Distances with guidance (a headline where `headline`) and without, under every network. */
export function distanceMeasures(
  rivals: Rivals,
  networks: readonly string[],
  { name, atMost, headline }: { readonly name: string; readonly atMost: number; readonly headline: boolean },
): ClaimMeasure[] {
  const told = { unit: "", better: "lower", target: [meanChange({ atMost })] } as const;
  return networks.flatMap((network, i) => [
    pairedMeasure(rivals, {
      ...told,
      name: `${name}, ${network}`,
      number: `distance${i}`,
      target: [...told.target],
      headline,
    }),
    pairedMeasure(rivals, {
      ...{ ...told, name: `${name} without guidance, ${network}`, number: `distance${i}Unguided` },
      ...{ target: [...told.target], headline: false },
    }),
  ]);
}

/** Samples of the right class, and those that keep their class's rules. */
export function ruleMeasures(rivals: Rivals): ClaimMeasure[] {
  const told = { unit: "share", better: "higher", headline: false } as const;
  return [
    ["samples of the right class, by our classifier", "accuracy"] as const,
    ["samples that keep their class's rules", "validity"] as const,
  ].map(([name, number]) =>
    pairedMeasure(rivals, { ...told, name, number, target: [meanChange({ atLeast: 0 })] }),
  );
}

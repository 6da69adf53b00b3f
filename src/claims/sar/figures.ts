/** Plots of SAR's page, from the rows of its claim. */
import { numberOf, numbersOf, type Rows } from "../../evaluate/claim/claim.ts";
import { armNames } from "../../evaluate/claim/refinement/setting.ts";
import type { ResultFigure } from "../../evaluate/claim/result.ts";
import { sarRecipes } from "../../systems/sar/recipe.ts";
import { control, methods, refine, refined, seeds, set, sweep } from "./protocol.ts";

/** Multiply-adds of the base's training: its steps at the cost of a plain step, picture by picture. */
function baseWork(rows: Rows): number {
  const { steps, batchSize } = sarRecipes["synth-32"].recipe.train.transformer;
  return (numberOf(rows, armNames.cost(set), control) * steps * batchSize) / refine.batchSize;
}

const trillion = 1e12;

/** Distance over all training so far, unguided: guidance is chosen per method, and would stand beside what training buys. */
export function workFigure(rows: Rows): ResultFigure {
  const before = baseWork(rows);
  const base = numberOf(rows, armNames.base(set), "distance0Unguided");
  return {
    title: "Fréchet distance (our classifier) over all training",
    x: { label: "10^12 multiply-adds of the transformer's training, the base's included", scale: "linear" },
    y: { label: "distance, 10,000 unguided pictures", scale: "linear" },
    series: Object.keys(methods).map((method) => {
      const mean = (read: (seed: number) => number) =>
        seeds.reduce((total, seed) => total + read(seed) / seeds.length, 0);
      const extra = mean((seed) => numberOf(rows, armNames.training(set, method, seed), "multiplyAdds"));
      const after = mean((seed) => numberOf(rows, armNames.judging(set, method, seed), "distance0Unguided"));
      const points: [number, number][] = [
        [before / trillion, base],
        [(before + extra) / trillion, after],
      ];
      return { name: method, line: true, points };
    }),
  };
}

/** What the sweep has so far: distance without guidance over the weight of the second pass. */
export function sweepFigure(rows: Rows): ResultFigure[] {
  const row = (name: string) => rows.get(armNames.sweep(set, name));
  const read = (name: string) => row(name)?.numbers.distance0Unguided;
  const points = Object.entries(sweep.variants).flatMap(([name, variant]): [number, number][] => {
    const distance = read(name);
    const isSigma = variant !== null && Object.keys(variant).join() === "sigma" && "sigma" in variant;
    return isSigma && typeof distance === "number" ? [[variant.sigma, distance]] : [];
  });
  const level = read("tf-continue");
  const ends = points.map(([x]) => x);
  if (points.length < 2 || typeof level !== "number") return [];
  return [
    {
      title: `Weight of the second pass (seed ${sweep.seed})`,
      x: { label: "sigma", scale: "log" },
      y: { label: "Fréchet distance, 2,000 unguided pictures", scale: "linear" },
      series: [
        { name: refined, line: true, points: points.sort(([a], [b]) => a - b) },
        {
          name: control,
          line: true,
          points: [
            [Math.min(...ends), level],
            [Math.max(...ends), level],
          ],
        },
      ],
    },
  ];
}

/** Fewer, more and larger scales from one model. */
export function scheduleFigure(rows: Rows): ResultFigure {
  const arm = armNames.schedules(set);
  const [scales, distances] = [numbersOf(rows, arm, "scales"), numbersOf(rows, arm, "distance0")];
  const points = scales.map((count, i): [number, number] => [count, distances[i] ?? 0]);
  return {
    title: "One model, other schedules: 2,000 pictures each",
    x: { label: "scales", scale: "linear" },
    y: { label: "Fréchet distance, our classifier", scale: "linear" },
    series: [{ name: `${refined}, seed 1`, line: false, points }],
  };
}

/** Plots of SAR's page, from the rows of its claim. */
import { numberOf, numbersOf, type Rows } from "../../evaluate/claim/claim.ts";
import { armNames, type RefinementSetting } from "../../evaluate/claim/refinement/setting.ts";
import type { ResultFigure } from "../../evaluate/claim/result.ts";
import { sarRecipes } from "../../systems/sar/recipe.ts";
import { control, methods, refine, refined, seeds, set } from "./protocol.ts";

/** Multiply-adds of the base's training: its steps at the cost of a plain step, picture by picture. */
function baseWork(rows: Rows): number {
  const { steps, batchSize } = sarRecipes["synth-32"].recipe.train.transformer;
  return (numberOf(rows, armNames.cost(set), control) * steps * batchSize) / refine.batchSize;
}

const trillion = 1e12;
/** Sites along a side of the finest map in training. */
const trainedSide = 8;

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

/** What a sweep on a set has so far: distance without guidance over the weight of the second pass. */
export function sweepFigure(
  rows: Rows,
  on: string,
  sweep: NonNullable<RefinementSetting["sweep"]>,
): ResultFigure[] {
  const row = (name: string) => rows.get(armNames.sweep(on, name));
  const read = (name: string) => row(name)?.numbers.distance0Unguided;
  const points = Object.entries(sweep.variants).flatMap(([name, variant]): [number, number][] => {
    const distance = read(name);
    const weight = Object.keys(variant ?? {}).join() === "sigma" ? variant?.sigma : undefined;
    return typeof weight === "number" && typeof distance === "number" ? [[weight, distance]] : [];
  });
  const level = read("tf-continue");
  const ends = points.map(([x]) => x);
  if (points.length < 2 || typeof level !== "number") return [];
  return [
    {
      title: `Weight of the second pass on ${on} (seed ${sweep.seed})`,
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

/** What steps cost and give: the same schedules over the time that each takes, once that was taken. */
export function scheduleTimeFigure(rows: Rows): ResultFigure[] {
  const times = rows.get(armNames.scheduleTimes(set))?.numbers.msPerPicture;
  if (!Array.isArray(times)) return [];
  const [sides, distances] = ["lastSide", "distance0"].map((name) =>
    numbersOf(rows, armNames.schedules(set), name),
  ) as [number[], number[]]; // two
  const ofSide = (isTrained: boolean) =>
    times.flatMap((ms, i): [number, number][] =>
      (sides[i] === trainedSide) === isTrained ? [[ms, distances[i] ?? 0]] : [],
    );
  return [
    {
      title: "One model, other schedules: distance over time",
      x: { label: "ms per picture, 64 at once", scale: "linear" },
      y: { label: "Fréchet distance, our classifier", scale: "log" },
      series: [
        { name: "trained side", line: true, points: ofSide(true) },
        { name: "larger sides", line: false, points: ofSide(false) },
      ],
    },
  ];
}

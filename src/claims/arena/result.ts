/** `results/arena.json`: what contests of models under one budget gave, put together from the rows of their arms. */
import { z } from "zod";
import type { ArmRow } from "../../evaluate/claim/arms.node.ts";
import { type FeatureIdentity, numberOf, numbersOf, type Rows } from "../../evaluate/claim/claim.ts";
import { NextxError } from "../../tensor/errors.ts";
import { benchmarkName, type ForecastBenchmark, naiveArmName } from "../series/forecastArms.ts";
import { type Contestant, Entrant, type Overrides } from "./contestants.ts";
import { arenaArmNames } from "./imageArms.ts";
import { type Forecasting, forecastName } from "./seriesArms.ts";

const provenance = z.strictObject({
  revision: z.string(),
  command: z.string(),
  machineClass: z.string(),
  threads: z.int(),
  /** Of all arms together. */
  minutes: z.number(),
});

const contest = {
  budgetMinutes: z.number().positive(),
  seed: z.int(),
  data: z.string(),
  /** Contestants whose arms have not all run. */
  missing: z.array(z.string()),
  provenance,
};

const distanceSchema = z.strictObject({
  network: z.string(),
  distance: z.number(),
  standardError: z.number(),
  /** Of held-out pictures through the tokenizer: no model over it can be expected to do better. */
  roundTrip: z.number().nullable(),
});

const imageEntrySchema = z.strictObject({
  name: z.string(),
  title: z.string(),
  predicts: z.string(),
  system: z.string(),
  tokenizer: z.string(),
  /** Without the tokenizer's. */
  parameters: z.int(),
  /** What it was trained by, steps included. */
  recipe: z.record(z.string(), z.unknown()),
  /** Of training, judging and timing together. */
  minutes: z.number(),
  /** By stage. */
  steps: z.array(z.int()),
  secondsPerStep: z.array(z.number()),
  guidance: z.number(),
  distances: z.array(distanceSchema).min(1),
  /** Samples of the right class by our classifier, and those that keep their class's rules. */
  accuracy: z.number().nullable(),
  validity: z.number().nullable(),
  oneMs: z.number(),
  eightMs: z.number(),
  peakBytes: z.number(),
  /** Calls of the runtime for one picture. */
  programRuns: z.int(),
  /** Loss of the longest stage, means of equal stretches. */
  curve: z.array(z.number()),
  /** Contact sheet beside the rows. */
  pictures: z.strictObject({ file: z.string(), sha256: z.string() }),
});

export const imageArenaSchema = z.strictObject({
  ...contest,
  samples: z.int(),
  entries: z.array(imageEntrySchema),
});
/** A contest of image systems: its conditions, and a row per contestant. */
export type ImageArena = z.infer<typeof imageArenaSchema>;

const seriesEntrySchema = z.strictObject({
  name: z.string(),
  title: z.string(),
  benchmark: z.string(),
  /** Errors on standardised data, of all test windows. */
  mse: z.number(),
  mae: z.number(),
  parameters: z.int(),
  steps: z.int(),
  secondsPerStep: z.number(),
  /** Milliseconds per forecast of one window. */
  windowMs: z.number(),
  /** Mean squared error of the validation split at each look, in equal distances; of nothing where nothing is trained. */
  validationMse: z.array(z.number()),
});

export const seriesArenaSchema = z.strictObject({ ...contest, entries: z.array(seriesEntrySchema) });
/** A contest of forecasters: its conditions, and a row per contestant. */
export type SeriesArena = z.infer<typeof seriesArenaSchema>;

export const arenaSchema = z.strictObject({
  image: imageArenaSchema.nullable().default(null),
  series: seriesArenaSchema.nullable().default(null),
});
/** `results/arena.json`: the last contest of each kind. */
export type ArenaResult = z.infer<typeof arenaSchema>;

/** What is the same for every entry of a contest. */
export interface ContestFacts {
  readonly budgetMinutes: number;
  readonly seed: number;
  readonly provenance: Omit<z.infer<typeof provenance>, "minutes">;
}

const minutesOf = (rows: Rows): number =>
  Number([...rows.values()].reduce((sum: number, { minutes }: ArmRow) => sum + minutes, 0).toFixed(1));

const shared = ({ budgetMinutes, seed, provenance: origin }: ContestFacts, rows: Rows) => ({
  budgetMinutes,
  seed,
  provenance: { ...origin, minutes: minutesOf(rows) },
});

/** Entries of contestants whose arms are all there, the best first. */
export function composeImageArena(
  contestants: readonly Contestant[],
  rows: Rows,
  facts: ContestFacts & {
    readonly data: string;
    readonly samples: number;
    readonly features: readonly FeatureIdentity[];
    readonly overrides?: Overrides;
  },
): ImageArena {
  const isThere = ({ name }: Contestant) =>
    [arenaArmNames.training, arenaArmNames.judging, arenaArmNames.cost].every((of) => rows.has(of(name)));
  const entryOf = (contestant: Contestant) => {
    const { name, title, predicts, system, tokenizer, shares } = contestant;
    const [training, judged, cost] = [
      arenaArmNames.training(name),
      arenaArmNames.judging(name),
      arenaArmNames.cost(name),
    ];
    const judgedNumber = (key: string) => rows.get(judged)?.numbers[key] ?? null;
    const steps = [...numbersOf(rows, training, "steps")];
    const byStage = Object.fromEntries(Object.keys(shares).map((key, i) => [key, steps[i] ?? 0]));
    return {
      ...{ name, title, predicts, system, tokenizer, steps },
      recipe: new Entrant(contestant, facts.overrides).recipe(byStage),
      minutes: minutesOf(new Map([...rows].filter(([arm]) => [training, judged, cost].includes(arm)))),
      parameters: numberOf(rows, training, "parameters"),
      secondsPerStep: [...numbersOf(rows, training, "secondsPerStep")],
      guidance: numberOf(rows, judged, "guidance"),
      distances: facts.features.map(({ name: network }, i) => ({
        network,
        distance: numberOf(rows, judged, `distance${i}`),
        standardError: numberOf(rows, judged, `standardError${i}`),
        roundTrip: judgedNumber(`distance${i}RoundTrip`),
      })),
      accuracy: judgedNumber("accuracy"),
      validity: judgedNumber("validity"),
      oneMs: numberOf(rows, cost, "oneMs"),
      eightMs: numberOf(rows, cost, "eightMs"),
      peakBytes: numberOf(rows, cost, "peakBytes"),
      programRuns: numberOf(rows, cost, "programRuns"),
      curve: [...numbersOf(rows, training, "curve")],
      pictures: rows.get(judged)?.pictures?.[0],
    };
  };
  const entries = contestants.filter(isThere).map(entryOf);
  return imageArenaSchema.parse({
    ...shared(facts, rows),
    ...{ data: facts.data, samples: facts.samples },
    missing: contestants.filter((one) => !isThere(one)).map(({ name }) => name),
    entries: entries.sort((a, b) => (a.distances[0]?.distance ?? 0) - (b.distances[0]?.distance ?? 0)),
  });
}

/** Entries of forecasters and of the naive forecasts that are there, per benchmark the best first. */
export function composeSeriesArena(
  forecasters: readonly Forecasting[],
  benchmarks: readonly ForecastBenchmark[],
  rows: Rows,
  facts: ContestFacts,
): SeriesArena {
  const naive = (benchmark: ForecastBenchmark) => {
    const arm = naiveArmName(benchmark);
    if (!rows.has(arm)) return [];
    const free = {
      benchmark: benchmarkName(benchmark),
      parameters: 0,
      steps: 0,
      secondsPerStep: 0,
      windowMs: 0,
      validationMse: [],
    };
    return [
      ["naive", "Last value", "naive"],
      ["seasonal-naive", "Last season", "seasonal"],
    ].map(([name, title, key]) => ({
      ...{ name, title, ...free },
      mse: numberOf(rows, arm, `${key}Mse`),
      mae: numberOf(rows, arm, `${key}Mae`),
    }));
  };
  const learned = (benchmark: ForecastBenchmark) =>
    forecasters.flatMap(({ name, title }) => {
      const arm = forecastName(name, benchmark);
      if (!rows.has(arm)) return [];
      const read = (key: string) => numberOf(rows, arm, key);
      return [
        {
          ...{ name, title, benchmark: benchmarkName(benchmark), mse: read("mse"), mae: read("mae") },
          ...{ parameters: read("parameters"), steps: read("steps") },
          ...{ secondsPerStep: read("secondsPerStep"), windowMs: read("windowMs") },
          validationMse: [...numbersOf(rows, arm, "validationMse")],
        },
      ];
    });
  const all = benchmarks.flatMap((one) => forecasters.map(({ name }) => forecastName(name, one)));
  return seriesArenaSchema.parse({
    ...shared(facts, rows),
    data: benchmarks.map(benchmarkName).join(", "),
    missing: all.filter((arm) => !rows.has(arm)),
    entries: benchmarks.flatMap((one) => [...naive(one), ...learned(one)].sort((a, b) => a.mse - b.mse)),
  });
}

/** Reads `arena.json`. @throws NextxError ARENA_BAD_RESULT */
export function parseArena(text: string, path: string): ArenaResult {
  try {
    return arenaSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new NextxError("ARENA_BAD_RESULT", `${path} is not the result of an arena.`, {
      path,
      hint: "Remove it; `nextx arena` writes it again from the rows that lie beside it.",
      cause,
    });
  }
}

/** `nextx arena`: systems of one kind trained and measured under one budget of time, into `results/arena.json`. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSetting, revision, type SettingOptions } from "./claimSetting.node.ts";
import { arenaData, type Contestant, contestants, type Overrides } from "./claims/arena/contestants.ts";
import { armsOfContestant, contestantModel, imageArenaArms } from "./claims/arena/imageArms.ts";
import {
  type ArenaResult,
  arenaSchema,
  type ContestFacts,
  composeImageArena,
  composeSeriesArena,
  parseArena,
} from "./claims/arena/result.ts";
import { forecasters, forecastName, seriesArenaArms } from "./claims/arena/seriesArms.ts";
import { type ForecastBenchmark, naiveArmName } from "./claims/series/forecastArms.ts";
import {
  type Arm,
  type ArmEvent,
  type ArmRow,
  armContext,
  readRow,
  runArms,
} from "./evaluate/claim/arms.node.ts";
import type { ClaimSetting, Rows } from "./evaluate/claim/claim.ts";
import { availableNetworksOf } from "./featureNetworks.node.ts";
import { writeFileDurably } from "./formats/durable.node.ts";
import type { ModelFile } from "./formats/modelFile.ts";
import { suggestion } from "./formats/suggest.ts";
import { findModel } from "./models.node.ts";
import { machineClass } from "./runtime/device.node.ts";
import { measureSamplingApart } from "./sampleTimes.node.ts";
import { NextxError } from "./tensor/errors.ts";

/** What is contested. */
export const arenaKinds = ["image", "series"] as const;
/** What is contested. */
export type ArenaKind = (typeof arenaKinds)[number];

/** What a contest may be told. */
export interface ArenaOptions extends SettingOptions {
  /** Folder of results: arena.json and arena/<kind>/; `results` when absent. */
  readonly out?: string;
  /** Minutes that each contestant trains; 15 when absent. */
  readonly budgetMinutes?: number;
  readonly seed?: number;
  /** Names of contestants; all when absent. Others keep what they have. */
  readonly only?: readonly string[];
  /** Judged pictures; 2,000 when absent. */
  readonly samples?: number;
  /** Version of nextx, for results made outside a repository. */
  readonly version?: string;
  readonly signal?: AbortSignal;
  /** Smaller recipes by contestant, to try it out. */
  readonly overrides?: Overrides;
}

/** What a contest tells while it runs. */
export type ArenaEvent =
  | ArmEvent
  /** What is there so far, in its file. */
  | { readonly kind: "composed"; readonly result: ArenaResult; readonly path: string };

const defaults = { budgetMinutes: 15, seed: 1, samples: 2_000, threads: 2 } as const;
const guidance = { guidanceGrid: [0, 0.75, 1.5], guidanceSamples: 500 } as const;
const timedRuns = 7;

/** The procedural series, and where there is a data folder the usual first benchmark. */
const benchmarksOf = (dataRoot: string | undefined): readonly ForecastBenchmark[] =>
  ["waves", ...(dataRoot === undefined ? [] : ["etth1"])].map((set) => ({
    set,
    contextLength: 96,
    predictionLength: 96,
  }));

/** @throws NextxError ARENA_UNKNOWN */
function requireKnown(all: readonly { readonly name: string }[], only: readonly string[] = []): void {
  const names = all.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new NextxError("ARENA_UNKNOWN", `"${unknown}" does not take part.`, {
    path: "only",
    hint: suggestion(unknown, names),
  });
}

type Settled = ArenaOptions & Required<Pick<ArenaOptions, "budgetMinutes" | "seed" | "samples" | "threads">>;

interface Contest {
  readonly arms: readonly Arm[];
  /** Names of the arms that these contestants need. */
  armsOf(names: readonly string[]): readonly string[];
  readonly compose: (rows: Rows, facts: ContestFacts) => Partial<ArenaResult>;
}

function imageContest(setting: ClaimSetting, options: Settled): Contest {
  const { budgetMinutes, seed, samples, device = "cpu", threads, overrides } = options;
  requireKnown(contestants, options.only);
  const costOf = async (model: Uint8Array, settings: Readonly<Record<string, unknown>>) => {
    const folder = await mkdtemp(join(tmpdir(), "nextx-arena-"));
    try {
      const path = join(folder, "model.safetensors");
      await writeFile(path, model);
      const told = { device, threads, runs: timedRuns, settings: JSON.stringify(settings) };
      const { counts, peakBytes } = await measureSamplingApart(path, told);
      const [one, eight] = counts;
      return { oneMs: one?.medianMs ?? 0, eightMs: eight?.medianMs ?? 0, peakBytes };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
  const told = { budgetMinutes, seed, samples, ...guidance, costOf, ...(overrides && { overrides }) };
  const features = setting.features(arenaData.set).identities;
  return {
    arms: imageArenaArms(setting, { contestants, ...told }),
    armsOf: (names) => contestants.filter(({ name }) => names.includes(name)).flatMap(armsOfContestant),
    compose: (rows, facts) => ({
      image: composeImageArena(contestants, rows, {
        ...{ ...facts, data: arenaData.set, samples, features },
        ...(overrides && { overrides }),
      }),
    }),
  };
}

function seriesContest(setting: ClaimSetting, options: Settled): Contest {
  const { budgetMinutes, seed, only, dataRoot } = options;
  requireKnown(forecasters, only);
  const benchmarks = benchmarksOf(dataRoot);
  const told = { benchmarks, forecasters, budgetMinutes, seed, testStride: 1 };
  return {
    arms: seriesArenaArms(setting, told),
    armsOf: (names) =>
      benchmarks.flatMap((one) => [naiveArmName(one), ...names.map((name) => forecastName(name, one))]),
    compose: (rows, facts) => ({ series: composeSeriesArena(forecasters, benchmarks, rows, facts) }),
  };
}

/** What makes the same result; data is the reader's own. */
function commandOf(kind: ArenaKind, { budgetMinutes, seed, samples, threads }: Settled): string {
  const flags = [
    ["--budget", budgetMinutes, defaults.budgetMinutes],
    ["--seed", seed, defaults.seed],
    ["--threads", threads, defaults.threads],
    ...(kind === "image" ? [["--samples", samples, defaults.samples] as const] : []),
  ] as const;
  const changed = flags
    .filter(([, value, usual]) => value !== usual)
    .map(([flag, value]) => ` ${flag} ${value}`);
  return `nextx arena ${kind}${changed.join("")}`;
}

const contests = { image: imageContest, series: seriesContest } as const;

/** What `arena.json` holds; nothing where there is none. @throws NextxError ARENA_BAD_RESULT */
export async function readArena(out = "results"): Promise<ArenaResult> {
  const path = join(out, "arena.json");
  return existsSync(path) ? parseArena(await readFile(path, "utf8"), path) : arenaSchema.parse({});
}

/** The model of a contestant of the image arena, tokenizer included, from the arms in a folder of results. @throws NextxError ARENA_UNKNOWN, CLAIM_MISSING_ARM, CLAIM_DAMAGED_ARM */
export async function arenaModel(name: string, out = "results"): Promise<ModelFile> {
  requireKnown(contestants, [name]);
  const contestant = contestants.find((one) => one.name === name) as Contestant; // it is known
  const folder = join(out, "arena", "image");
  const rows = new Map<string, ArmRow>();
  for (const arm of armsOfContestant(contestant)) {
    const row = await readRow(folder, arm);
    if (row) rows.set(arm, row);
  }
  return contestantModel(contestant, armContext(folder, rows), findModel);
}

/** Runs what is missing of a contest and puts together what is there. @throws NextxError ARENA_, CLAIM_, DATA_ codes, ABORTED */
export async function* arena(kind: ArenaKind, options: ArenaOptions = {}): AsyncGenerator<ArenaEvent> {
  const settled: Settled = { ...defaults, ...options };
  const { out = "results", signal, only, version = "", threads, budgetMinutes, seed } = settled;
  const before = await readArena(out);
  await using open = await openSetting(settled, availableNetworksOf);
  const { setting } = open;
  const { arms, armsOf, compose } = contests[kind](setting, settled);
  const few = only && new Set(armsOf(only));
  const rows = new Map<string, ArmRow>();
  let known = before[kind]?.provenance.revision; // of what is only put together again
  const running = { ...(few && { only: few }), ...(signal && { signal }) };
  for await (const event of runArms(join(out, "arena", kind), arms, running)) {
    if (event.kind === "kept" || event.kind === "finished") rows.set(event.row.arm, event.row);
    if (event.kind === "finished") known = undefined;
    yield event;
  }
  const facts: ContestFacts = {
    ...{ budgetMinutes, seed },
    provenance: {
      revision: known ?? revision(version),
      command: commandOf(kind, settled),
      machineClass: machineClass(setting.device),
      threads,
    },
  };
  const result = arenaSchema.parse({ ...before, ...compose(rows, facts) });
  const path = join(out, "arena.json");
  await writeFileDurably(path, `${JSON.stringify(result, null, 1)}\n`);
  yield { kind: "composed", result, path };
}

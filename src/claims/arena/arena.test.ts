/** Both arenas with everything tiny: every arm runs and is kept, the result is put together from rows. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createSynth } from "../../data/synth/synth.ts";
import { type ArmRow, runArms } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { decodeModel } from "../../formats/modelFile.ts";
import { tinySetting } from "../testing/tinySetting.ts";
import { contestants, Entrant, type Overrides } from "./contestants.ts";
import { imageArenaArms, type SamplingCost } from "./imageArms.ts";
import { composeImageArena, composeSeriesArena } from "./result.ts";
import { forecasters, seriesArenaArms } from "./seriesArms.ts";

const root = mkdtempSync(join(tmpdir(), "nextx-arena-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const stage = { batchSize: 4, tokenImages: 16, warmup: 1 };
const tokenizer = { steps: 2, batchSize: 4, warmup: 1 };
const small = (transformer: object, train: object) => ({ transformer, train: { tokenizer, ...train } });
const flow = { encoderDepth: 1, decoderDepth: 1, encoderNumHeads: 2, decoderNumHeads: 2 };
const overrides: Overrides = {
  raster: small({ dim: 16, nHead: 2, nLayer: 1 }, { transformer: stage }),
  sar: small({ depth: 1, embedDim: 16, numHeads: 2 }, { transformer: stage, refine: stage }),
  hmar: {
    ...small({ depth: 2, embedDim: 16, numHeads: 2 }, { nextScale: stage, masked: stage }),
    tailLayers: 1,
  },
  xar: small({ ...flow, embedDim: 16 }, { transformer: stage }),
};
const cost: SamplingCost = { oneMs: 3, eightMs: 9, peakBytes: 2 ** 28 };
const facts = {
  ...{ budgetMinutes: 1e-4, seed: 1 },
  provenance: { revision: "r", command: "c", machineClass: "m", threads: 2 },
};

async function rowsOf(arms: Parameters<typeof runArms>[1], folder: string) {
  const rows = new Map<string, ArmRow>();
  const kinds = new Set<string>();
  for await (const event of runArms(join(root, folder), arms)) {
    kinds.add(event.kind);
    if ("row" in event) rows.set(event.row.arm, event.row);
  }
  return { rows, kinds };
}

it("contestants have as many parameters as VAR to within 5 %, and stages that fit their shares", () => {
  const set = createSynth({ size: 32, split: "test", length: 1 });
  const all = contestants.map((one) => new Entrant(one));
  const parameters = Object.fromEntries(all.map((one) => [one.contestant.name, one.parameters(set)]));
  for (const [name, count] of Object.entries(parameters))
    expect(Math.abs(count / (parameters.var ?? 0) - 1), name).toBeLessThan(0.05);
  for (const entrant of all) {
    const { contestant, system } = entrant;
    const shares = Object.values(contestant.shares);
    expect(shares.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
    expect(system.stages(entrant.recipe()).length, contestant.name).toBe(1 + shares.length);
  }
});

it("a contestant's stage takes the steps that are asked for, and no other does", () => {
  const sar = new Entrant(contestants.find(({ name }) => name === "sar") as (typeof contestants)[number]);
  expect(sar.stage("refine", 7)).toMatchObject({ name: "refine", steps: 7 });
  expect(sar.stage("transformer", 7)).toMatchObject({ name: "transformer", steps: 7 });
});

describe("images", () => {
  it("every arm runs, is kept, and gives the entry of its contestant", async () => {
    const taking = contestants.filter(({ name }) => Object.hasOwn(overrides, name));
    const options = {
      ...{ contestants: taking, budgetMinutes: facts.budgetMinutes, seed: 1, samples: 24, overrides },
      ...{ guidanceGrid: [0, 1], guidanceSamples: 16, costOf: async () => cost },
    };
    const setting = await tinySetting();
    const arms = imageArenaArms(setting, options);
    expect(arms.map(({ name }) => name)).toContain("tokenizer-vq");
    expect(new Set(arms.map(({ name }) => name)).size).toBe(arms.length);
    const { rows } = await rowsOf(arms, "image");
    expect((await rowsOf(imageArenaArms(setting, options), "image")).kinds).toEqual(new Set(["kept"]));
    const about = {
      ...facts,
      overrides,
      data: "synth",
      samples: 24,
      features: [{ name: "halves", sha256: "0" }],
    };
    const result = composeImageArena(contestants, rows, about);
    expect(result.missing).toEqual(["var", "flexvar", "flowar", "nar"]);
    const distances = result.entries.map(({ distances: [first] }) => first?.distance ?? 0);
    expect(distances).toEqual([...distances].sort((a, b) => a - b));
    const sar = result.entries.find(({ name }) => name === "sar");
    expect(sar?.steps.length).toBe(2);
    expect(sar).toMatchObject({ oneMs: 3, eightMs: 9, peakBytes: 2 ** 28 });
    const raster = result.entries.find(({ name }) => name === "raster");
    expect(raster?.programRuns).toBeGreaterThan(sar?.programRuns ?? 0); // 64 tokens against 6 scales
    expect(raster?.pictures.file).toBe("judged-raster-samples.png");
    expect(sar).toMatchObject({
      recipe: { transformer: { depth: 1 }, train: { refine: { steps: sar?.steps[1] } } },
    });
    for (const entry of result.entries) expect(entry.distances[0]?.roundTrip).not.toBeNull();
  }, 600_000);

  it("an arm keeps what it trained, not the tokenizer", async () => {
    const { readFile } = await import("node:fs/promises");
    const { weights } = decodeModel(await readFile(join(root, "image", "trained-hmar.safetensors")));
    expect([...weights.keys()].filter((name) => name.startsWith("vae."))).toEqual([]);
    expect([...weights.keys()].some((name) => name.startsWith("mp."))).toBe(true);
    expect([...weights.keys()].some((name) => name.startsWith("nsp."))).toBe(true);
  });
});

it("series: every model beside the naive forecasts, the best first", async () => {
  const { openSeries } = await import("../../data/series/seriesSets.node.ts");
  const setting: ClaimSetting = { ...(await tinySetting()), openSeries: (set) => openSeries(set, undefined) };
  const benchmarks = [{ set: "waves", contextLength: 24, predictionLength: 12 }];
  const options = { benchmarks, forecasters, budgetMinutes: 1e-4, seed: 1, testStride: 50 };
  const { rows } = await rowsOf(seriesArenaArms(setting, options), "series");
  const result = composeSeriesArena(forecasters, benchmarks, rows, facts);
  expect(result.missing).toEqual([]);
  expect(result.entries.map(({ name }) => name).sort()).toEqual(
    ["naive", "seasonal-naive", ...forecasters.map(({ name }) => name)].sort(),
  );
  const errors = result.entries.map(({ mse }) => mse);
  expect(errors).toEqual([...errors].sort((a, b) => a - b));
}, 600_000);

/** Autoformer's claim with everything tiny: every arm runs, is kept and is checked; what the numbers say is not tested. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { shareBorders } from "../../data/series/splits.ts";
import { syntheticSeries } from "../../data/series/synthetic.ts";
import { checkClaim } from "../../evaluate/claim/checkClaim.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { type ClaimEvent, claimPaths, runClaim } from "../../evaluate/claim/runClaim.node.ts";
import { benchmarkTraining } from "../../evaluate/forecast/train.ts";
import { correlate, ownLags } from "../../mixer/autoCorrelation.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { float32 } from "../../tensor/tensor.ts";
import { autoformerClaimOf, autoformerClaimOptions } from "./claim.ts";
import { periodicShares, repeatingSource } from "./delays.ts";

const root = mkdtempSync(join(tmpdir(), "nextx-autoformer-claim-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const none = async () => {
  throw new NextxError("DATA_NO_ROOT", "none is needed");
};

it("every arm runs once, gives every measure, and a result that holds when it is checked", async () => {
  const table = syntheticSeries({ rows: 400, channels: 2 });
  const setting: ClaimSetting = {
    device: await openCpu({ threads: 1 }),
    openSeries: async (id) => ({
      ...{ id, version: "0", table, frequency: "h", season: 24 },
      borders: shareBorders(400),
    }),
    ...{ openData: none, model: none, readWeights: none },
    features: () => ({ identities: [], open: none }),
  };
  const small = (set: string, predictionLength: number) => ({ set, contextLength: 12, predictionLength });
  const claim = await autoformerClaimOf({
    periodic: [small("waves", 4), small("waves", 6)],
    benchmarks: [small("etth1", 4)],
    ablated: [small("waves", 4)],
    blocks: { ...autoformerClaimOptions.blocks, batch: 1, lengths: [8, 16, 32], repeats: 1 },
    delays: {
      ...autoformerClaimOptions.delays,
      rows: 200,
      contextLength: 48,
      predictionLength: 4,
      epochs: 1,
      windows: 4,
    },
    seeds: [1, 2],
    epochs: 1,
    stepsPerEpoch: 2,
    validationStride: 20,
    testStride: 10,
  })(setting);
  const paths = claimPaths(root, "autoformer");
  const options = { paths, origin: { revision: "r", command: "c", machineClass: "m" } };
  const events: ClaimEvent[] = [];
  for await (const event of runClaim(claim, options)) events.push(event);
  const finished = events.flatMap((event) => (event.kind === "finished" ? [event.row.arm] : []));
  expect(finished).toEqual(claim.arms.map(({ name }) => name));
  const judged = events.find((event) => event.kind === "judged");
  expect(judged?.result.measures.map(({ name }) => name)).toEqual(claim.measures.map(({ name }) => name));
  for await (const { part, problems } of checkClaim(claim, { paths })) expect(problems, part).toEqual([]);
  const again: string[] = [];
  for await (const event of runClaim(claim, options)) again.push(event.kind);
  expect(again).not.toContain("started");
}, 120_000);

it("the full claim names arms that its measures read, once each", async () => {
  const claim = await autoformerClaimOf(autoformerClaimOptions)({} as ClaimSetting); // composing opens nothing
  const names = claim.arms.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { arms } of claim.measures) for (const arm of arms) expect(names).toContain(arm);
});

it("delays of a period are told from others", () => {
  const row = (heavy: readonly number[]) =>
    Array.from({ length: 96 }, (_, lag) => (heavy.includes(lag) ? 1 : 0));
  expect(periodicShares(row([0, 24, 48, 72]), 96, 24)).toEqual({ multiples: 1, apart: 1 });
  expect(periodicShares(row([3, 27, 51, 75]), 96, 24)).toEqual({ multiples: 0, apart: 1 });
  const two = [...row([0, 24, 48, 72]), ...row([0, 1, 24, 25])];
  expect(periodicShares(two, 96, 24)).toEqual({ multiples: 0.75, apart: 0.75 });
});

it("the heaviest lags of an undisturbed wave are those of its period", async () => {
  const options = {
    ...autoformerClaimOptions.delays,
    noise: 0,
    training: { ...benchmarkTraining },
    seeds: [1],
  };
  const { table } = repeatingSource(options, 1);
  const wave = Float32Array.from({ length: 96 }, (_, t) => table.values[t * 3] as number); // one channel
  const spec = float32(1, 96, 1, 1);
  const graph = trace({ x: spec }, ({ x }) => ({ weights: ownLags(correlate(x, x), 4) }));
  using program = await compile(graph, { device: await openCpu({ threads: 1 }) });
  const { weights } = await program.run({ x: floats(wave, [1, 96, 1, 1]) });
  expect(periodicShares(weights?.data as Float32Array, 96, 24)).toEqual({ multiples: 1, apart: 1 });
});

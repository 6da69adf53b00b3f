/** Autoformer's claim with everything tiny: every arm runs, is kept and is checked; what the numbers say is not tested. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { shareBorders } from "../data/series/splits.ts";
import { syntheticSeries } from "../data/series/synthetic.ts";
import { checkClaim } from "../evaluate/claim/checkClaim.node.ts";
import type { ClaimSetting } from "../evaluate/claim/claim.ts";
import { type ClaimEvent, claimPaths, runClaim } from "../evaluate/claim/runClaim.node.ts";
import { openCpu } from "../runtime/device.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { autoformerClaimOf, autoformerClaimOptions } from "./autoformer.ts";

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
  const measured = events.find((event) => event.kind === "measured");
  expect(measured?.measures.map(({ name }) => name)).toEqual(claim.measures.map(({ name }) => name));
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

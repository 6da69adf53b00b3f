/** SpaceTime's claim with everything tiny: every arm runs, is kept and is checked; what the numbers say is not tested. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { shareBorders } from "../../data/series/splits.ts";
import { syntheticSeries } from "../../data/series/synthetic.ts";
import { checkClaim } from "../../evaluate/claim/checkClaim.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { type ClaimEvent, claimPaths, runClaim } from "../../evaluate/claim/runClaim.node.ts";
import { initialise } from "../../nn/scope.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { floats } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import { spacetimeClaimOf, spacetimeClaimOptions } from "./claim.ts";
import { loopForecast, loopTrainee } from "./loops.ts";
import { coefficients, expected, simulate, yuleWalker } from "./process.ts";

const root = mkdtempSync(join(tmpdir(), "nextx-spacetime-claim-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const none = async () => {
  throw new NextxError("DATA_NO_ROOT", "none is needed");
};
const device = await openCpu({ threads: 1 });

it("every arm runs once, gives every measure, and a result that holds when it is checked", async () => {
  const table = syntheticSeries({ rows: 400, channels: 2 });
  const setting: ClaimSetting = {
    device,
    openSeries: async (id) => ({
      ...{ id, version: "0", table, frequency: "h", season: 24 },
      borders: shareBorders(400),
    }),
    ...{ openData: none, model: none, readWeights: none },
    features: () => ({ identities: [], open: none }),
  };
  const { fit } = spacetimeClaimOptions;
  const sizes = { kernels: 2, stateSize: 4, contextLength: 12, predictionLength: 4 };
  const claim = await spacetimeClaimOf({
    fit: { ...fit, rows: 300, sizes, rollout: 8, epochs: 1, stepsPerEpoch: 2, seeds: [1, 2] },
    kernels: { kernels: 2, stateSizes: [4, 8], lengths: [8, 16] },
    forecast: { set: "etth1", contextLength: 12, predictionLength: 4, horizons: [6, 9] },
    timed: { set: "etth1", contextLength: 16, predictionLength: 4 },
    ...{ seeds: [1, 2], epochs: 1, stepsPerEpoch: 2, validationStride: 20, testStride: 10 },
  })(setting);
  const paths = claimPaths(root, "spacetime");
  const options = { paths, origin: { revision: "r", command: "c", machineClass: "m" } };
  const events: ClaimEvent[] = [];
  for await (const event of runClaim(claim, options)) events.push(event);
  const finished = events.flatMap((event) => (event.kind === "finished" ? [event.row.arm] : []));
  expect(finished).toEqual(claim.arms.map(({ name }) => name));
  const measured = events.find((event) => event.kind === "measured");
  expect(measured?.measures.map(({ name }) => name)).toEqual(claim.measures.map(({ name }) => name));
  for await (const { part, problems } of checkClaim(claim, { paths })) expect(problems, part).toEqual([]);
}, 300_000);

it("the full claim's arms and measures have names of their own; measures read arms that there are", async () => {
  const claim = await spacetimeClaimOf(spacetimeClaimOptions)({} as ClaimSetting); // composing opens nothing
  const names = claim.arms.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(claim.measures.map(({ name }) => name)).size).toBe(claim.measures.length);
  for (const { arms } of claim.measures) for (const arm of arms) expect(names).toContain(arm);
});

it("coefficients follow from roots, and what to expect follows from coefficients", () => {
  // (1 - r e^(iw) z)(1 - r e^(-iw) z): phi_1 = 2 r cos w, phi_2 = -r^2.
  const [first = 0, second = 0] = coefficients({ radius: 0.9, angles: [0.5] });
  expect(first).toBeCloseTo(1.8 * Math.cos(0.5), 12);
  expect(second).toBeCloseTo(-0.81, 12);
  const next = expected([first, second], [2, 3], 2);
  expect(next[0]).toBeCloseTo(3 * first + 2 * second, 12);
  expect(next[1]).toBeCloseTo((next[0] as number) * first + 3 * second, 12);
  const rows = simulate([first, second], 2_000, RandomStream.from(1, "test"));
  const lag = (by: number) => rows.reduce((sum, value, t) => sum + value * (rows[t - by] ?? 0), 0) / 2_000;
  expect(lag(0)).toBeCloseTo(1, 2);
  expect(lag(1)).toBeCloseTo(first / (1 - second), 1); // Yule and Walker
});

it("a classical estimate solves its equations, and comes near the true coefficients", () => {
  const phi = coefficients({ radius: 0.9, angles: [0.5, 1.3] });
  const rows = simulate(phi, 20_000, RandomStream.from(1, "test"));
  const estimate = yuleWalker(rows, 4);
  for (const [i, weight] of phi.entries())
    expect(Math.abs((estimate[i] as number) - weight)).toBeLessThan(0.03);
  const lag = (by: number) => rows.reduce((sum, value, t) => sum + value * (rows[t - by] ?? 0), 0);
  for (const by of [1, 2, 3, 4]) {
    const right = estimate.reduce((sum, weight, i) => sum + weight * lag(Math.abs(by - 1 - i)), 0);
    expect(right / lag(0)).toBeCloseTo(lag(by) / lag(0), 6);
  }
});

it.each(["companion", "decay", "shift"] as const)(
  "%s: a longer roll-out begins with the shorter one",
  async (kind) => {
    const sizes = { kernels: 2, stateSize: 4, contextLength: 8, predictionLength: 3 };
    const weights = initialise(loopTrainee(kind, sizes).parameters, RandomStream.from(3, kind));
    const past = floats(RandomStream.from(4, "past").normals(8, 1), [1, 8, 1]);
    const forecast = async (horizon: number) => {
      using program = await compile(loopForecast(kind, sizes, horizon), { device, weights });
      return (await program.run({ past })).forecast?.data as Float32Array;
    };
    const [short, long] = [await forecast(3), await forecast(7)];
    for (const [i, value] of short.entries()) expect(long[i]).toBeCloseTo(value, 5);
    expect(Math.max(...short.map(Math.abs))).toBeGreaterThan(1e-4);
  },
);

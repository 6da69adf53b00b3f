/** VAR's claim with everything tiny: every arm runs, resumes and is checked; what the numbers say is not tested here. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { armContext, readRow } from "../../evaluate/claim/arms.node.ts";
import type { Claim } from "../../evaluate/claim/claim.ts";
import { type ClaimEvent, claimPaths, runClaim } from "../../evaluate/claim/runClaim.node.ts";
import { fillErrors } from "../inpainting.ts";
import { tinySetting } from "../testing/tinySetting.ts";
import { type VarClaimOptions, varClaimOf } from "./claim.ts";
import { pairOf } from "./sides.ts";

const options: VarClaimOptions = {
  quality: {
    transformer: { depth: 1, embedDim: 16, numHeads: 2 },
    ...{ tokenizerSteps: 2, transformerSteps: 2, batchSize: 8, tokenImages: 32 },
    ...{ seeds: [1], samples: 24, guidanceGrid: [0, 1.5], guidanceSamples: 16 },
  },
  scaling: {
    model: "synth-32",
    sizes: [
      { depth: 1, embedDim: 8, numHeads: 1 },
      { depth: 1, embedDim: 16, numHeads: 2 },
    ],
    ...{ learningRates: [1e-3], steps: 2, batchSize: 8, tokenImages: 32, heldOut: 16 },
  },
  inpainting: { pictures: 12, seeds: [1] },
};

const root = mkdtempSync(join(tmpdir(), "nextx-var-claim-"));
const paths = claimPaths(root, "var");
afterAll(() => rmSync(root, { recursive: true, force: true }));
const origin = { revision: "r", command: "c", machineClass: "m" };
const training = ["inpainting", "scale", "pair", "tokenizer", "roundtrip", "guidance", "judged"];

let claim: Claim;
const events: ClaimEvent[] = [];
beforeAll(async () => {
  const setting = await tinySetting();
  claim = await varClaimOf(options)(setting);
  for await (const event of runClaim(claim, { paths, origin, arms: training })) events.push(event);
}, 600_000);

describe("the arms", () => {
  it("all run, leave rows, small weights and pictures, and are kept afterwards", async () => {
    const finished = events.flatMap((event) => (event.kind === "finished" ? [event.row] : []));
    expect(finished.map(({ arm }) => arm)).toEqual(
      claim.arms.map(({ name }) => name).filter((name) => !name.startsWith("speed")),
    );
    const files = readdirSync(paths.arms);
    for (const file of ["inpainting-rows.png", "judged-var-1-samples.png", "pair-raster-1.safetensors"])
      expect(files).toContain(file);
    const again: string[] = [];
    for await (const event of runClaim(claim, { paths, origin, arms: training })) again.push(event.kind);
    expect(new Set(again)).toEqual(new Set(["missing", "kept", "measured"]));
  });

  it("give every measure that needs no timing", () => {
    const measured = events.find((event) => event.kind === "measured");
    expect(measured?.measures.map(({ name }) => name)).toEqual(
      claim.measures
        .filter(({ arms }) => !arms.some((arm) => arm.startsWith("speed")))
        .map(({ name }) => name),
    );
    const kept = measured?.measures.find(({ name }) => name.startsWith("kept tokens"));
    expect(kept).toMatchObject({ system: [0], holds: true });
  });

  it("spend equal multiply-adds: the raster side trains longer", () => {
    const row = (arm: string) =>
      events.flatMap((event) => (event.kind === "finished" && event.row.arm === arm ? [event.row] : []))[0];
    const cost = row("pair-cost")?.numbers;
    const ratio = Number(cost?.var) / Number(cost?.raster);
    expect(ratio).toBeGreaterThan(1.9); // 130 tokens against 64
    expect(row("pair-raster-1")?.numbers.steps).toBe(Math.round(2 * ratio));
  });

  it("are computed again from their weights, not from their rows", async () => {
    const name = "scale-0-second";
    const row = await readRow(paths.arms, name);
    if (!row) throw new Error("it ran");
    const bent = { ...row, numbers: { ...row.numbers, heldOutLoss: 1 } };
    const arm = claim.arms.find((one) => one.name === name);
    const fresh = await arm?.recompute?.(armContext(paths.arms, new Map([[name, bent]])));
    expect(fresh?.numbers.heldOutLoss).toBeCloseTo(Number(row.numbers.heldOutLoss), 5);
  }, 60_000);
});

it("passes are S against P^2, counted anew by the check", async () => {
  const arm = claim.arms.find(({ name }) => name === "speed-8");
  const { numbers } =
    (await arm?.recompute?.({ rows: new Map(), model: async () => new Uint8Array() })) ?? {};
  expect(numbers).toMatchObject({ passesVar: 6, passesRaster: 64 });
  expect(Number(numbers?.multiplyAddsVar)).toBeGreaterThan(Number(numbers?.multiplyAddsRaster));
}, 60_000);

it("both sides differ in what they predict and in nothing else", () => {
  const { training } = pairOf(options.quality);
  const [a, b] = training;
  expect(b.tokenizer).toEqual({ ...a.tokenizer, patchNums: [8], quantResi: 0 });
  expect(b.transformer).toEqual(a.transformer);
  expect(b.train).toEqual(a.train);
});

it("fill and border errors of pictures by hand", () => {
  // One row of 4: the new half is the last two; errors 1 and 3; a step of 6 - 2 where the real one is 5 - 0.
  const made = Float32Array.from([1, 2, 6, 8]);
  const real = Float32Array.from([0, 0, 5, 5]);
  expect(fillErrors(made, real, 4)).toEqual({ fill: (1 + 9) / 2, border: 1, step: 4 });
});

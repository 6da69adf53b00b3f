/** The arms of a refinement claim on a model of random weights: what they share, what they spend, what they leave. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openImageSet } from "../../../data/imageSets.node.ts";
import { decodeModel } from "../../../formats/modelFile.ts";
import { initialise } from "../../../nn/scope.ts";
import type { Stage } from "../../../regimen/system.ts";
import { openCpu } from "../../../runtime/device.node.ts";
import { sarRecipes } from "../../../systems/sar/recipe.ts";
import { sarSystem } from "../../../systems/sar/system.ts";
import { RandomStream } from "../../../tensor/random.ts";
import type { FeatureExtractor, Pictures } from "../../features/types.ts";
import { type ArmRow, armContext, runArms } from "../arms.node.ts";
import { refinementArms } from "./arms.ts";
import { chosenGuidance, guidanceGrid } from "./judging.ts";
import { meanChange, pairedMeasure, stepCost } from "./measures.ts";
import { armNames, type RefinementSetting } from "./setting.ts";
import { youngerArms } from "./younger.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-refinement-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const device = await openCpu({ threads: 1 });
const openSynth = (split: "train" | "validation" | "test") => openImageSet("synth", { size: 32, split });

/** The mean of each colour channel: enough to compare pictures. */
function meanColours({ pixels, count, size }: Pictures) {
  const data = new Float32Array(count * 3);
  const pixelsPer = size * size;
  for (let i = 0; i < pixels.length; i++)
    data[Math.floor(i / (3 * pixelsPer)) * 3 + (i % 3)] =
      (data[Math.floor(i / (3 * pixelsPer)) * 3 + (i % 3)] ?? 0) + (pixels[i] ?? 0) / pixelsPer;
  return { data, count, dims: 3 };
}
const colours: FeatureExtractor = {
  ...{ name: "colours", sha256: "0".repeat(64), dims: 3, inputSize: 32 },
  extract: async (pictures) => ({ features: meanColours(pictures) }),
  features: async (pictures) => meanColours(pictures),
  [Symbol.dispose]: () => undefined,
};

const methods = { "sar-paper": { method: "sar-paper" }, "tf-continue": { method: "tf-continue" } };

async function setting(): Promise<RefinementSetting> {
  const { recipe } = sarRecipes.smoke;
  const description = sarSystem.describe(recipe, await openSynth("train"));
  const weights = initialise(sarSystem.parameters(description), RandomStream.from(1, "base"));
  return {
    ...{ system: sarSystem, set: "synth", device, methods, seeds: [1, 2], samples: 24 },
    sampledSchedules: [
      [1, 2],
      [1, 2, 4],
      [1, 2, 4, 6],
    ],
    sweep: { seed: 11, variants: { base: null, doubled: { sigma: 1, steps: 8 } } },
    base: { description, weights, sha256: "1".repeat(64) },
    openData: openSynth,
    features: { identities: [{ name: colours.name, sha256: colours.sha256 }], open: async () => [colours] },
    recipe: { data: recipe.data, schedules: recipe.schedules },
    refine: { steps: 4, batchSize: 4, tokenImages: 32, warmup: 1 },
  };
}

const rows = new Map<string, ArmRow>();
const ran: string[] = [];
let shared: RefinementSetting;
beforeAll(async () => {
  shared = await setting();
  for await (const event of runArms(folder, refinementArms(shared))) {
    if (event.kind !== "finished") continue;
    rows.set(event.row.arm, event.row);
    ran.push(event.row.arm);
  }
}, 120_000);

const trained = (method: string, seed: number) => rows.get(armNames.training("synth", method, seed));

describe("refinement arms", () => {
  it("give every method the multiply-adds of the claimed one", () => {
    const [ours, theirs] = [trained("sar-paper", 1)?.numbers, trained("tf-continue", 1)?.numbers];
    expect(ours?.steps).toBe(4);
    expect(theirs?.steps).toBeGreaterThan(6);
    const ratio = Number(theirs?.multiplyAdds) / Number(ours?.multiplyAdds);
    expect(Math.abs(ratio - 1)).toBeLessThan(0.5 / Number(theirs?.steps));
  });

  it("change only the transformer, each method and seed in its own way", async () => {
    const { model } = armContext(folder, rows);
    const weightsOf = async (method: string, seed: number) =>
      decodeModel(await model(armNames.training("synth", method, seed))).weights;
    const all = [
      await weightsOf("sar-paper", 1),
      await weightsOf("tf-continue", 1),
      await weightsOf("sar-paper", 2),
    ];
    const texts = (prefix: string): string[] =>
      all.map((weights) =>
        [...weights]
          .filter(([name]) => name.startsWith(prefix))
          .map(([, { data }]) => String(data))
          .join(),
      );
    expect(texts("vae.")).toEqual(["", "", ""]);
    expect(new Set(texts("var.")).size).toBe(3);
  });

  it("judge with the chosen guidance and without", () => {
    const row = rows.get(armNames.judging("synth", "sar-paper", 1))?.numbers;
    const distances = rows.get(armNames.guidance("synth", "sar-paper"))?.numbers.distance0 as number[];
    expect(distances).toHaveLength(5);
    expect(row?.guidance).toBe([0, 0.5, 1, 1.5, 2.5][distances.indexOf(Math.min(...distances))]);
    for (const name of ["distance0", "distance0Unguided", "validity", "heldOutLoss", "freeDisagreement"])
      expect(Number(row?.[name])).toBeGreaterThanOrEqual(0);
  });

  it("try variants at a seed of their own, and the base itself", () => {
    const [base, doubled] = ["base", "doubled"].map(
      (name) => rows.get(armNames.sweep("synth", name))?.numbers,
    );
    expect(base?.steps).toBeUndefined();
    expect(doubled?.steps).toBe(8);
    for (const numbers of [base, doubled])
      for (const name of ["distance0", "distance0Unguided", "validity", "heldOutLoss"])
        expect(Number(numbers?.[name])).toBeGreaterThanOrEqual(0);
  });

  it("try the same from a younger base, whose tokenizer is the base's", async () => {
    const { recipe } = sarRecipes.smoke;
    const training = { ...recipe.train.transformer, steps: 3 };
    const arms = youngerArms(shared, {
      ...{ seed: 11, training, prefix: "var." },
      stage: sarSystem.stages({ ...recipe, train: { ...recipe.train, transformer: training } })[1] as Stage,
      variants: { base: null, doubled: { sigma: 1, steps: 8 } },
    });
    const own = new Map<string, ArmRow>();
    for await (const event of runArms(folder, arms))
      if (event.kind === "finished") own.set(event.row.arm, event.row);
    expect([...own.keys()]).toEqual(["synth-younger", "synth-younger-base", "synth-younger-doubled"]);
    const { weights } = decodeModel(await armContext(folder, own).model("synth-younger"));
    expect([...weights.keys()].every((name) => name.startsWith("var."))).toBe(true);
    expect(weights.size).toBe(
      [...shared.base.weights.keys()].filter((name) => name.startsWith("var.")).length,
    );
    expect(own.get("synth-younger")?.numbers.steps).toBe(3);
    const [young, old] = [own.get("synth-younger-base"), rows.get(armNames.sweep("synth", "base"))];
    expect(young?.numbers.heldOutLoss).not.toBe(old?.numbers.heldOutLoss);
  }, 60_000);

  it("sample one model with fewer, as many, and larger scales", () => {
    const { numbers } = rows.get(armNames.schedules("synth")) as ArmRow;
    expect(numbers.scales).toEqual([2, 3, 4]);
    expect(numbers.lastSide).toEqual([2, 4, 6]);
    for (const name of ["distance0", "validity", "secondsPerPicture"])
      for (const value of numbers[name] as number[]) expect(value).toBeGreaterThanOrEqual(0);
  });

  it("choose the guidance that suits both networks", () => {
    const numbers = { distance0: [1, 2, 3, 4, 5], distance1: [9, 4, 1, 4, 9] };
    const row = { arm: "x", definition: "", minutes: 0, numbers };
    expect(chosenGuidance(new Map([["s-m-guidance", row]]), "s", "m")).toBe(1);
    expect(() => chosenGuidance(new Map(), "s", "m")).toThrow(/s-m-guidance/);
  });

  it("make paired measures from their rows alone", () => {
    const comparison = { set: "synth", seeds: [1, 2], system: "sar-paper", baseline: "tf-continue" };
    const told = {
      name: "loss",
      unit: "nats",
      number: "heldOutLoss",
      target: [meanChange(0)],
      headline: true,
    };
    const { system, baseline } = pairedMeasure(comparison, told).numbers(rows);
    expect(system).toEqual(
      [1, 2].map((seed) => rows.get(`synth-sar-paper-${seed}-judged`)?.numbers.heldOutLoss),
    );
    expect(baseline).toHaveLength(2);
    const cost = stepCost("synth", "sar-paper", "tf-continue").numbers(rows);
    expect(Number(cost.system[0]) / Number(cost.baseline?.[0])).toBeGreaterThan(1.7);
  });

  it("are kept when nothing changed, and run again when the base did", async () => {
    const kinds = async (other: Partial<RefinementSetting>) => {
      const found: string[] = [];
      for await (const event of runArms(folder, refinementArms({ ...shared, ...other }), { only: new Set() }))
        found.push(event.kind);
      return new Set(found);
    };
    expect(ran.length).toBe(rows.size);
    expect(await kinds({})).toEqual(new Set(["kept"]));
    expect(await kinds({ base: { ...shared.base, sha256: "2".repeat(64) } })).toEqual(new Set(["missing"]));
  });
});

it("a check computes losses, agreement and work again from the weights, not from the rows", async () => {
  const arms = refinementArms(shared);
  for (const name of [
    armNames.judging("synth", "sar-paper", 1),
    armNames.base("synth"),
    armNames.cost("synth"),
  ]) {
    const row = rows.get(name) as ArmRow; // it ran
    const bent = new Map(rows).set(name, { ...row, numbers: { ...row.numbers, heldOutLoss: 1 } });
    const fresh = await arms.find((arm) => arm.name === name)?.recompute?.(armContext(folder, bent));
    const numbers = Object.entries(fresh?.numbers ?? {});
    expect(numbers.length, name).toBeGreaterThan(1);
    for (const [key, value] of numbers) expect(value, key).toBeCloseTo(row.numbers[key] as number, 5);
  }
}, 60_000);

it("a check draws the samples of the chosen guidance again", async () => {
  const name = armNames.guidance("synth", "sar-paper");
  const arm = refinementArms(shared).find((one) => one.name === name);
  const row = rows.get(name) as ArmRow; // it ran
  const chosen = guidanceGrid.indexOf(chosenGuidance(rows, "synth", "sar-paper") as 0);
  const told = row.numbers.distance0 as number[];
  const bent = (column: number) =>
    told.map((distance, i) => (i === column ? distance * 0.9 : distance)) as number[];
  const again = async (distance0: number[]) => {
    const changed = new Map(rows).set(name, { ...row, numbers: { ...row.numbers, distance0 } });
    return (await arm?.recompute?.(armContext(folder, changed)))?.numbers.distance0 as number[];
  };
  for (const [i, distance] of (await again(told)).entries())
    expect(distance).toBeCloseTo(told[i] as number, 5);
  expect((await again(bent(chosen)))[chosen]).toBeCloseTo(told[chosen] as number, 5); // smaller: still the chosen one
}, 60_000);

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Arm, runArms } from "./arms.node.ts";
import { contradictions, differences, judge, parseResult, type Result } from "./result.ts";
import { holds, type Target } from "./target.ts";

const target = (over: Partial<Target>): Target => ({ quantity: "value", over: "mean", ...over });

describe("targets", () => {
  it.each([
    [target({ atMost: 2 }), [1, 3], [], true],
    [target({ over: "every", atMost: 2 }), [1, 3], [], false],
    [target({ quantity: "ratio", atLeast: 3 }), [9, 9], [3, 3], true],
    [target({ quantity: "ratio", over: "every", atLeast: 3 }), [9, 8], [3, 3], false],
    [target({ quantity: "relativeChange", atMost: -0.02 }), [0.9, 1.05], [1, 1], true],
    [target({ quantity: "relativeChange", over: "every", atMost: 0 }), [0.9, 1.05], [1, 1], false],
    [target({ atMost: 2 }), [Number.NaN], [], false],
    [target({ quantity: "ratio", atLeast: 1 }), [1], [0], false], // infinite
  ])("%j of %j against %j: %s", (one, system, baseline, expected) => {
    expect(holds([one], system, baseline)).toBe(expected);
  });

  it("of several conditions all must hold; pairs must be pairs", () => {
    const both = [target({ atMost: 2 }), target({ atLeast: 1.5 })];
    expect([holds(both, [1.7], []), holds(both, [1.2], [])]).toEqual([true, false]);
    expect(() => holds([target({ quantity: "ratio" })], [1, 2], [1])).toThrow(/as many numbers/);
    expect(() => holds([target({})], [], [])).toThrow(/no numbers/);
  });
});

const measures = [
  {
    name: "passes",
    unit: "",
    better: "lower" as const,
    system: [6],
    baseline: [64],
    baselineName: "raster",
    target: [target({ quantity: "ratio", atMost: 0.1 })],
    headline: true,
  },
  {
    name: "distance",
    unit: "",
    better: "lower" as const,
    system: [5, 6],
    baseline: [5, 5],
    baselineName: "raster",
    target: [target({ quantity: "relativeChange", atMost: 0 })],
    headline: true,
  },
];

function result(): Result {
  return {
    ...{ system: "var", statement: "" },
    protocol: {
      data: "synth",
      split: "test",
      samples: 10,
      features: [],
      seeds: [1, 2],
      computeFlops: 1,
      guidance: "none",
    },
    ...judge(measures),
    ...{ notes: [], figures: [], pictures: [] },
    provenance: { revision: "r", command: "c", minutes: 1, machineClass: "m", checkpoints: [] },
  };
}

describe("a result", () => {
  it("is judged from its numbers", () => {
    expect(result().measures.map((measure) => measure.holds)).toEqual([true, false]);
    expect(result().verdict).toBe("partly");
    expect(judge(measures.slice(0, 1)).verdict).toBe("reproduced");
    expect(judge(measures.slice(1)).verdict).toBe("not reproduced");
    expect(contradictions(parseResult(JSON.stringify(result()), "r.json"))).toEqual([]);
  });

  it("changed by hand is caught: a judgement, a verdict, a number", () => {
    const bent = result();
    expect(contradictions({ ...bent, verdict: "reproduced" })).toHaveLength(1);
    const [first, second] = bent.measures;
    if (!first || !second) throw new Error("two measures");
    expect(contradictions({ ...bent, measures: [first, { ...second, holds: true }] })).toHaveLength(1);
    expect(contradictions({ ...bent, measures: [first, { ...second, system: [4, 4] }] })).toHaveLength(2);
    const nudged = { ...bent, measures: [{ ...first, system: [5] }, second] }; // still holds
    expect(contradictions(nudged)).toEqual([]);
    expect(differences(nudged, measures, 0.01)).toHaveLength(1);
    expect(differences(bent, measures, 0.01)).toEqual([]);
    expect(differences(bent, [{ name: "other", system: [1], baseline: [] }], 0.01)).toHaveLength(1);
  });

  it("of another form is refused", () => {
    expect(() => parseResult("{", "r.json")).toThrow(/not JSON/);
    expect(() => parseResult(JSON.stringify({ ...result(), extra: 1 }), "r.json")).toThrow();
  });
});

describe("arms", () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  async function run(folder: string, arms: readonly Arm[], signal?: AbortSignal) {
    const kinds: string[] = [];
    for await (const event of runArms(folder, arms, signal && { signal }))
      kinds.push(`${event.kind} ${"row" in event ? event.row.arm : event.arm}`);
    return kinds;
  }

  it("run once, go on where they stopped, and see earlier rows and models", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nextx-arms-"));
    folders.push(folder);
    let runs = 0;
    const base: Arm = {
      name: "base",
      definition: { seed: 1 },
      run: async () => {
        runs++;
        return { numbers: { loss: 2 }, model: Uint8Array.from([1, 2, 3]) };
      },
    };
    const tuned = (fails: boolean): Arm => ({
      name: "tuned",
      definition: { from: "base" },
      run: async ({ rows, model }) => {
        if (fails) throw new Error("power cut");
        const bytes = await model("base");
        return { numbers: { loss: (rows.get("base")?.numbers.loss as number) / bytes.length } };
      },
    });
    await expect(run(folder, [base, tuned(true)])).rejects.toThrow("power cut");
    expect(await run(folder, [base, tuned(false)])).toEqual(["kept base", "started tuned", "finished tuned"]);
    expect(await run(folder, [{ ...base, definition: { seed: 2 } }])).toEqual([
      "started base",
      "finished base",
    ]);
    expect(runs).toBe(2);
    expect(readdirSync(folder).sort()).toEqual(["base.json", "base.safetensors", "tuned.json"]);
    writeFileSync(join(folder, "base.safetensors"), "other");
    await expect(
      run(folder, [
        { ...base, definition: { seed: 2 } },
        { ...tuned(false), definition: 3 },
      ]),
    ).rejects.toMatchObject({ code: "CLAIM_DAMAGED_ARM" });
    await expect(run(folder, [base], AbortSignal.abort())).rejects.toMatchObject({ code: "ABORTED" });
  });
});

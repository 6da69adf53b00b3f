import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { NextxError } from "../../tensor/errors.ts";
import { checkClaim } from "./checkClaim.node.ts";
import { type Claim, numberOf, numbersOf } from "./claim.ts";
import { parseResult } from "./result.ts";
import { chooseArms, claimPaths, runClaim } from "./runClaim.node.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const origin = { revision: "r", command: "nextx claim x", machineClass: "m" };

/** A claim of two arms; `loss` is what training gives, `again` what recomputing gives. */
function claim(loss = 2, again = loss): Claim {
  return {
    system: "x",
    statement: "Smaller is better.",
    notes: ["a note"],
    arms: [
      {
        name: "train-1",
        definition: { seed: 1 },
        run: async () => ({
          numbers: { loss, curve: [3, loss] },
          model: Uint8Array.from([1, 2, 3]),
          pictures: { grid: { width: 1, height: 1, pixels: new Uint8Array(3) } },
        }),
        recompute: async ({ model }) => {
          expect((await model("train-1")).length).toBe(3);
          return { numbers: { loss: again }, tolerance: 0.01 };
        },
      },
      {
        name: "time",
        definition: {},
        run: async ({ rows }) => ({ numbers: { ms: 10 * numberOf(rows, "train-1", "loss") } }),
      },
    ],
    measures: [
      {
        name: "loss",
        unit: "nats",
        better: "lower",
        arms: ["train-1"],
        baselineName: "none",
        target: [{ quantity: "value", over: "mean", atMost: 2.5 }],
        headline: true,
        numbers: (rows) => ({ system: [numberOf(rows, "train-1", "loss")] }),
      },
      {
        name: "time",
        unit: "ms",
        better: "lower",
        arms: ["time", "train-1"],
        baselineName: "first",
        target: [{ quantity: "ratio", over: "mean", atMost: 1 }],
        headline: false,
        numbers: (rows) => ({ system: [numberOf(rows, "time", "ms")], baseline: [30] }),
      },
    ],
    protocol: () => ({
      data: "synth",
      split: "test",
      samples: 1,
      features: [],
      seeds: [1],
      computeFlops: 1,
      guidance: "none",
    }),
    figures: (rows) => [
      {
        title: "loss",
        x: { label: "step", scale: "linear" },
        y: { label: "loss", scale: "linear" },
        series: [
          {
            name: "x",
            line: true,
            points: numbersOf(rows, "train-1", "curve").map((y, i) => [i, y] as [number, number]),
          },
        ],
      },
    ],
  };
}

function place() {
  const folder = mkdtempSync(join(tmpdir(), "nextx-claim-"));
  folders.push(folder);
  return claimPaths(folder, "x");
}

async function run(made: Claim, paths = place(), arms?: string[]) {
  const kinds: string[] = [];
  for await (const event of runClaim(made, { paths, origin, ...(arms && { arms }) })) {
    if (event.kind === "measured")
      kinds.push(`measured ${event.measures.map(({ name, holds }) => `${name} ${holds}`)}`);
    else if (event.kind === "judged") kinds.push(`${event.result.verdict} ${event.isWritten}`);
    else kinds.push(`${event.kind} ${"row" in event ? event.row.arm : event.arm}`);
  }
  return { kinds, paths };
}

async function problems(made: Claim, paths: ReturnType<typeof place>): Promise<string[]> {
  const all: string[] = [];
  for await (const check of checkClaim(made, { paths })) all.push(...check.problems);
  return all;
}

it("runs chosen arms, shows what they already say, and writes the result when all are there", async () => {
  const { kinds, paths } = await run(claim(), place(), ["train"]);
  expect(kinds).toEqual(["started train-1", "finished train-1", "missing time", "measured loss true"]);
  await expect(problems(claim(), paths)).rejects.toMatchObject({ code: "CLAIM_NO_RESULT" });
  const second = await run(claim(), paths);
  expect(second.kinds.slice(-2)).toEqual(["measured loss true,time true", "reproduced true"]);
  const text = readFileSync(paths.result, "utf8");
  expect(parseResult(text, "x.json")).toMatchObject({
    verdict: "reproduced",
    measures: [{ system: [2] }, { system: [20], baseline: [30], holds: true }],
    pictures: [{ file: "train-1-grid.png" }],
    provenance: { checkpoints: [{ file: "train-1.safetensors" }] },
  });
  expect((await run(claim(), paths)).kinds.at(-1)).toBe("reproduced false"); // it stands
  expect(readFileSync(paths.result, "utf8")).toBe(text);
  expect(await problems(claim(), paths)).toEqual([]);
});

it.each([
  ["a number", (t: string) => t.replace(/"system": \[\s*20\s*\]/, '"system": [19]'), /"time" \(system\)/],
  ["a target", (t: string) => t.replace('"atMost": 2.5', '"atMost": 2.6'), /another target/],
  ["a verdict", (t: string) => t.replace('"reproduced"', '"partly"'), /the verdict is "reproduced"/],
  ["a judgement", (t: string) => t.replace('"holds": true', '"holds": false'), /the file says otherwise/],
  ["a note", (t: string) => t.replace("a note", "another"), /notes/],
  ["a point of a plot", (t: string) => t.replace(/3(\s*\]\s*,)/, "4$1"), /figures/],
])("%s changed by hand in the result is caught", async (_, bend, message) => {
  const { paths } = await run(claim());
  const text = readFileSync(paths.result, "utf8");
  writeFileSync(paths.result, bend(text));
  expect(readFileSync(paths.result, "utf8")).not.toBe(text);
  const found = await problems(claim(), paths);
  expect(found.length).toBeGreaterThan(0);
  expect(found.join()).toMatch(message);
});

it("a result stands without its extra arms, takes them in when they have run, and misses no other", async () => {
  const made = claim();
  const extra = {
    name: "extra",
    definition: {},
    isExtra: true as const,
    run: async () => ({ numbers: { a: 1 } }),
  };
  const informed: Claim = {
    ...made,
    arms: [...made.arms, extra],
    figures: (rows) =>
      rows.has("extra") ? (made.figures?.(rows) ?? []).map((one) => ({ ...one, title: "with it" })) : [],
  };
  const { kinds, paths } = await run(informed, place(), ["train", "time"]);
  expect(kinds.slice(-3)).toEqual(["missing extra", "measured loss true,time true", "reproduced true"]);
  expect(await problems(informed, paths)).toEqual([]);
  expect((await run(informed, paths)).kinds.at(-1)).toBe("reproduced true"); // written anew
  expect(parseResult(readFileSync(paths.result, "utf8"), "x.json").figures[0]?.title).toBe("with it");
  expect(await problems(informed, paths)).toEqual([]);
  rmSync(join(paths.arms, "time.json"));
  expect((await problems(informed, paths)).join()).toMatch(/its row is missing/);
});

it("rows that were bent, moved or lost are caught, and weights that changed", async () => {
  const { paths } = await run(claim());
  const row = join(paths.arms, "train-1.json");
  const text = readFileSync(row, "utf8");
  writeFileSync(row, text.replace('"loss": 2', '"loss": 1'));
  const bent = await problems(claim(), paths);
  expect(bent.join()).toMatch(/"loss" \(system\) is 1, the file says 2/);
  expect(bent.join()).toMatch(/"loss" is 2, its row says 1/);
  writeFileSync(row, text);
  expect((await problems(claim(2, 2.5), paths)).join()).toMatch(/"loss" is 2.5, its row says 2/);
  expect(await problems(claim(2, 2.01), paths)).toEqual([]); // within the tolerance
  writeFileSync(join(paths.arms, "train-1.safetensors"), "other");
  expect((await problems(claim(), paths)).join()).toMatch(/train-1.safetensors is not what its row says/);
  rmSync(row);
  expect((await problems(claim(), paths)).join()).toMatch(/its row is missing/);
});

it("says what it cannot compute again, and never takes it for a pass of that arm", async () => {
  const { paths } = await run(claim());
  const made = claim();
  const [first, ...others] = made.arms;
  if (!first) throw new Error("two arms");
  const lacks = async () => {
    throw new NextxError("CLAIM_NO_FEATURES", "no network");
  };
  const without = { ...made, arms: [{ ...first, recompute: lacks }, ...others] };
  const did: string[] = [];
  for await (const check of checkClaim(without, { paths })) did.push(check.did);
  expect(did[1]).toMatch(/not computed again: no network/);
});

it("computes what is slow again only when all is asked for", async () => {
  const { paths } = await run(claim());
  const made = claim(2, 3); // another number than the row's
  const [first, ...others] = made.arms;
  if (!first) throw new Error("two arms");
  const slow = { ...made, arms: [{ ...first, isSlowToCheck: true }, ...others] };
  const checks = async (all: boolean) => {
    const found = [];
    for await (const check of checkClaim(slow, { paths, all })) found.push(check);
    return found[1];
  };
  expect(await checks(false)).toMatchObject({ did: "row and files", problems: [] });
  expect((await checks(true))?.problems.join()).toMatch(/its row says/);
});

it("arms are chosen by name or by what stands before a dash; others are refused, NaN too", async () => {
  expect([...chooseArms(claim(), ["train", "time"])]).toEqual(["train-1", "time"]);
  expect(() => chooseArms(claim(), ["trian"])).toThrow(
    expect.objectContaining({ code: "CLAIM_UNKNOWN_ARM" }),
  );
  await expect(run(claim(Number.NaN))).rejects.toMatchObject({ code: "CLAIM_NOT_FINITE" });
});

it("a result names every machine that its rows were made on, and still checks", async () => {
  const paths = place();
  const runOn = async (machineClass: string, arms?: string[]) => {
    for await (const _ of runClaim(claim(), {
      paths,
      origin: { ...origin, machineClass },
      ...(arms && { arms }),
    }));
    return parseResult(readFileSync(paths.result, "utf8"), paths.result).provenance.machineClass;
  };
  await runOn("a GPU", ["train-1"]).catch(() => undefined); // no result yet
  expect(await runOn("2 cores")).toBe("2 cores; a GPU");
  expect(await problems(claim(), paths)).toEqual([]);
});

import { describe, expect, it } from "vitest";
import { formatTicks } from "../../regimen/runReportChart.ts";
import { judge, type Result, type ResultFigure } from "../claim/result.ts";
import type { DynamicsReport, PastReport } from "../dynamics/measure.ts";
import type { PerScale } from "../dynamics/scaleMeans.ts";
import { figureSvg } from "./figureSvg.ts";
import { type PageSystem, systemPages, withoutOwnLines } from "./systemPage.ts";

const figure: ResultFigure = {
  title: "a < b",
  x: { label: "size", scale: "log" },
  y: { label: "loss", scale: "linear" },
  series: [
    {
      name: "dots & line",
      line: true,
      points: [
        [1, 4],
        [100, 2],
      ],
    },
    { name: "dots", line: false, points: [[10, 3]] },
  ],
};

const result: Result = {
  ...{ system: "x", statement: "It is better.", notes: ["One note."], figures: [figure] },
  pictures: [{ file: "a-grid.png", sha256: "0".repeat(64) }],
  protocol: {
    ...{ data: "synth", split: "test", samples: 10, seeds: [1, 2, 3], computeFlops: 12_345_678 },
    ...{ features: [{ name: "net", sha256: "a".repeat(64) }], guidance: "none" },
  },
  ...judge([
    {
      ...{ name: "distance | a", unit: "", better: "lower", baselineName: "raster", headline: true },
      ...{ system: [1, 2, 3], baseline: [2, 2, 5] },
      target: [{ quantity: "relativeChange", over: "mean", atMost: -0.05 }],
    },
    {
      ...{ name: "time", unit: "ms", better: "lower", baselineName: "none", headline: false },
      ...{ system: [7], baseline: [] },
      target: [{ quantity: "value", over: "every", atMost: 5 }],
    },
  ]),
  provenance: {
    ...{ revision: "0123456789abcdef", command: "nextx claim x", minutes: 12.3, machineClass: "m" },
    checkpoints: [],
  },
};

const system: PageSystem = {
  ...{ id: "x", title: "X", source: "arXiv", description: "Next x.", parityChecks: 3, ownLines: 120 },
  hasClaim: true,
  models: [
    {
      ...{ name: "x-32", title: "X on synth", data: "synth", licence: "MIT", sha256: "b".repeat(64) },
      ...{ sizeBytes: 2 ** 21, command: "nextx train x" },
      stages: {
        one: {
          steps: 5,
          heldOut: { step: 5, psnr: 20.5, list: [1] },
          loss: [
            [1, 3],
            [5, 1],
          ],
        },
      },
    },
  ],
};

/** Dynamics over two scales; `divergence` is the KL after one step at the second. */
function dynamicsOf(name: string, divergence: number): DynamicsReport {
  const per = (...scales: number[]): PerScale => ({
    ...{ scales, standardErrors: scales.map(() => 0.1), overall: scales.at(-1) ?? 0 },
  });
  const past = (kl: number): PastReport => ({
    ...{ loss: per(2, 1), accuracy: per(0.1, 0.2), agreement: per(1, 0.5), divergence: per(0, kl) },
  });
  return {
    model: { name, sha256: "a".repeat(64), system: "x" },
    data: { set: "synth", split: "test", version: "v1", size: 32 },
    ...{ runtime: "none", count: 8, seed: 7, corruptRate: 0.25, sides: [1, 2], vocabSize: 64 },
    ...{ truePast: past(0), oneStep: past(divergence), freeRunning: past(9) },
    corrupted: [past(0.5), past(0)],
    difficulty: { bits: [3, 6], share: [0.3, 0.7], tokenShare: [0.2, 0.8], totalBits: 9 },
  };
}

describe("a figure", () => {
  const svg = figureSvg(figure);

  it("is an SVG with escaped text, all its points, and the places a log axis gives", () => {
    expect(svg).toContain('aria-label="a &lt; b"');
    expect(svg).toContain("dots &amp; line");
    const circles = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [
      Number(x),
      Number(y),
    ]);
    expect(circles).toHaveLength(3);
    const [low, high, middle] = circles;
    expect(middle?.[0]).toBeCloseTo(((low?.[0] ?? 0) + (high?.[0] ?? 0)) / 2, 0); // 10 lies half way from 1 to 100
    expect(middle?.[1]).toBeCloseTo(((low?.[1] ?? 0) + (high?.[1] ?? 0)) / 2, 0); // so does 3 from 4 to 2
    expect(low?.[1]).toBeLessThan(high?.[1] ?? 0); // up is more
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("of one point, and of equal values, has finite places", () => {
    for (const scale of ["log", "linear"] as const) {
      const axis = { label: "", scale };
      const one = { ...figure, x: axis, y: axis, series: [{ name: "", line: true, points: [[3, 3]] }] };
      expect(figureSvg(one as ResultFigure)).not.toMatch(/NaN|Infinity/);
    }
  });

  it.each([
    [[2500], ["2.5k"]],
    [[1e6], ["1M"]],
    [[0.003], ["0.003"]],
    [
      [10_000, 10_001, 10_002],
      ["10k", "10.001k", "10.002k"],
    ],
    [
      [1e15, 1e15 + 100],
      ["1e15", "1.0000000000001e15"],
    ],
    [[2e37], ["2e37"]],
    [
      [0, -1234.5],
      ["0", "-1.234k"],
    ],
  ])("writes %j as %j", (values, texts) => expect(formatTicks(values)).toEqual(texts));

  it("of very many points is drawn", () => {
    const points = Array.from({ length: 300_000 }, (_, i): [number, number] => [i, i % 7]);
    const axis = { label: "", scale: "linear" as const };
    const svg = figureSvg({ ...figure, x: axis, y: axis, series: [{ name: "", line: true, points }] });
    expect(svg).not.toMatch(/NaN|Infinity/);
    expect(svg.length).toBeLessThan(200_000);
  });
});

describe("pages", () => {
  it("say what a result says: verdict, numbers, targets with what was reached, files", () => {
    const pages = systemPages([{ ...system, result }]);
    expect([...pages.keys()]).toEqual([
      "SYSTEMS.md",
      "systems/x.md",
      "systems/x-claim-1.svg",
      "systems/x-x-32-1.svg",
    ]);
    const page = pages.get("systems/x.md") ?? "";
    expect(page).toContain("## Claim: reproduced");
    expect(page).toContain("It is better.");
    const distance =
      "| distance \\| a | 2 (1, 2, 3) | 3 (2, 2, 5) (raster) | change against the baseline, mean, at most -5 % (is -30 %) | holds |";
    const tight = page.replace(/ +\|/g, " |");
    expect(tight).toContain(distance);
    expect(tight).toContain("| time, ms | 7 | – | value, each, at most 5 (is 7) | misses (aside) |");
    const widths = page
      .split("\n")
      .filter((line) => line.startsWith("| "))
      .map((line) => line.length);
    expect(new Set(widths).size).toBe(2); // two tables, each with lines of one length
    expect(page).toContain("results/x/arms/a-grid.png");
    expect(page).toContain("psnr 20.5");
    expect(pages.get("SYSTEMS.md")).toContain("1 of 1 headline measures hold");
  });

  it("without a result say how to get one", () => {
    const page = systemPages([system]).get("systems/x.md") ?? "";
    expect(page).toContain("npx nextx claim x");
    expect(page).not.toContain("SHA-256 undefined");
  });

  it("are compared without the column that changes with every line of code, and with all others", () => {
    const table = (ownLines: number, title = "X") =>
      withoutOwnLines(systemPages([{ ...system, ownLines, title }]).get("SYSTEMS.md") ?? "");
    expect(table(1)).toBe(table(2));
    expect(table(1)).not.toBe(table(1, "Y"));
  });

  it("show measured dynamics: the change from model to model, every number, the lab's charts as files", () => {
    const dynamics = [dynamicsOf("before", 2), dynamicsOf("after", 1.5)];
    const pages = systemPages([{ ...system, dynamics }]);
    const page = (pages.get("systems/x.md") ?? "").replace(/ +\|/g, " |");
    expect(page).toContain("nextx dynamics before after --count 8 --seed 7 --corrupt-rate 0.25");
    expect(page).toContain("| | after against before | – | -25.0 % | -25.0 % |"); // KL after one step
    expect(page).toContain("| One step: KL(true past \\|\\| own), nats | before | 0.000 | 2.000 | 2.000 |");
    expect(page).toContain("| before | 1x1 | | 0.500 |");
    const files = [...pages.keys()].filter((name) => name.includes("dynamics"));
    expect(files).toHaveLength(9);
    for (const file of files) {
      expect(page).toContain(`](${file.replace("systems/", "")})`);
      const svg = pages.get(file) ?? "";
      expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="\d+" height="\d+"/);
      for (const name of ["before", "after"]) expect(svg).toContain(`>${name}</text>`);
      expect(svg).not.toMatch(/NaN|Infinity|undefined|var\(--/);
    }
    expect(systemPages([system]).get("systems/x.md")).not.toContain("dynamics");
  });
});

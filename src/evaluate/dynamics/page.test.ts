import { describe, expect, it } from "vitest";
import { allSides, damages, fixed, modelNames, sections, valueText } from "./lines.ts";
import type { DynamicsReport, PastReport } from "./measure.ts";
import { isDynamicsPage, renderDynamicsPage } from "./page.ts";
import type { PerScale } from "./scaleMeans.ts";

/** A report whose every quantity can be told from its value: past + quantity + scale. */
function report(name: string, sides: readonly number[], sha256 = "a".repeat(64)): DynamicsReport {
  const per = (base: number): PerScale => ({
    scales: sides.map((_, s) => base + s / 1000),
    standardErrors: sides.map(() => 0.0005),
    overall: base,
  });
  const past = (base: number): PastReport => ({
    loss: per(base + 1),
    accuracy: per(0.1),
    agreement: per(0.2),
    divergence: per(base + 0.5),
  });
  return {
    model: { name, sha256, system: "sar" },
    data: { set: "synth", split: "test", version: "v1", size: 32 },
    runtime: "none",
    ...{ count: 8, seed: 7, corruptRate: 0.25, sides, vocabSize: 64 },
    truePast: past(1),
    oneStep: past(2),
    freeRunning: past(3),
    corrupted: sides.map((_, s) => past(10 * (s + 1))),
    difficulty: {
      bits: sides.map((side) => side),
      share: sides.map(() => 0.3),
      tokenShare: sides.map(() => 0.4),
      totalBits: 9,
    },
  };
}

describe("lines", () => {
  it("show gaps where a schedule lacks a side, and no negative zero", () => {
    const two = [report("a", [1, 2, 4]), report("b", [1, 3, 4])];
    expect(allSides(two)).toEqual([1, 2, 3, 4]);
    const loss = sections[1]?.lines[0]?.values(two[1] as DynamicsReport);
    if (loss === undefined) throw new Error("the loss on the true past");
    expect([1, 2, 3, 4].map((side) => valueText(loss, [1, 3, 4], side, 3))).toEqual([
      "2.000",
      "\u2013",
      "2.001",
      "2.002",
    ]);
    expect([fixed(-0.0004, 3), fixed(-0.0006, 3)]).toEqual(["0.000", "-0.001"]);
  });

  it("tell models of one name apart", () => {
    const names = modelNames([report("a", [1]), report("a", [1], "b".repeat(64)), report("c", [1])]);
    expect(names).toEqual(["a aaaaaaaa", "a bbbbbbbb", "c"]);
  });

  it("give damage as the difference to the true past", () => {
    const rise = damages[1]?.rows(report("a", [1, 2]));
    expect(rise?.map(({ scales }) => scales)).toEqual([
      [9, 9],
      [19, 19],
    ]);
  });
});

describe("the page", () => {
  const html = renderDynamicsPage([report('<b>"x"&', [1, 2, 4]), report("second", [1, 3, 4])]);

  it("is whole, loads nothing, and shows names as text", () => {
    expect(isDynamicsPage(html)).toBe(true);
    expect(isDynamicsPage("<h1>Training dynamics</h1>")).toBe(false);
    expect(html).toContain("&lt;b&gt;&quot;x&quot;&amp;");
    expect(html).not.toContain("<b>");
    expect(html).not.toMatch(/<script|<link|src=|https?:/);
    expect(html.match(/<svg/g)).toHaveLength(9);
  });

  it("has finite coordinates, places named by side, and every number", () => {
    for (const [, value = ""] of html.matchAll(/ (?:d|x|y)="([^"]*)"/g))
      expect(value).not.toMatch(/NaN|Infinity|undefined|e[+-]?\d/);
    expect(html).toContain(">3\u00d73</text>");
    for (const number of ["2.000", "3.001", "4.002", "3.502"]) expect(html).toContain(`>${number}</td>`);
  });

  it("can be made of a single scale", () => {
    expect(renderDynamicsPage([report("a", [4])])).toContain(">4\u00d74</text>");
  });
});

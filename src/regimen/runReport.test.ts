import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodePng } from "../formats/png.ts";
import { RunFolder } from "./runFolder.node.ts";
import type { MetricsRow } from "./runFolderMetrics.ts";
import { reportOfRun } from "./runReport.node.ts";
import { renderRunReport } from "./runReport.ts";
import {
  escapeHtml,
  formatNumber,
  linearTicks,
  renderChart,
  roughness,
  smooth,
  thin,
} from "./runReportChart.ts";
import type { Json } from "./trainer.ts";

const png = encodePng({ width: 1, height: 1, pixels: Uint8Array.of(1, 2, 3) });
const page = (rows: readonly MetricsRow[], config: Json = {}) =>
  renderRunReport({ title: "Run", parts: [{ name: "run", rows, samples: [] }], config, provenance: null });

/** Every number of every path and position is finite. */
function requireCleanNumbers(html: string): void {
  for (const [, value = ""] of html.matchAll(/ (?:d|x|y|x1|y1|viewBox)="([^"]*)"/g))
    expect(value).not.toMatch(/NaN|Infinity|undefined|e[+-]?\d/);
}

describe("a report", () => {
  test("shows curves, scales, codebook, samples, config and provenance", () => {
    const rows = Array.from({ length: 100 }, (_, i) => ({
      step: i + 1,
      loss: 5 / (i + 1) + (i % 2),
      validationL1: i,
      codebookUsage: [0.25, 0.5],
      codebookPerplexity: [12.5, 60],
      deadCodes: 3,
    }));
    const html = renderRunReport({
      title: "Run a",
      parts: [{ name: "tokenizer", rows, samples: [{ step: 100, name: "grid", png }] }],
      config: { tokenizer: { vocabSize: 64, patchNums: [1, 2] } },
      provenance: { node: "v20" },
    });
    requireCleanNumbers(html);
    for (const text of [
      "Loss",
      "Validation L1",
      "Codebook usage per scale",
      "grid, step 100",
      "v20",
      "mean over 3 rows",
    ])
      expect(html).toContain(text);
    expect(html).toContain("<td>16</td><td>48</td><td>25.0 %</td>");
    expect(html).toContain("<td>12.5</td>");
    expect(html).toContain("Codes no scale uses: 3 of 64.");
    expect(html).toContain('<th scope="row">tokenizer.patchNums</th><td>1, 2</td>');
    expect(html).toContain(`data:image/png;base64,${Buffer.from(png).toString("base64")}`);
    expect(html).not.toMatch(/<script|https?:|\son\w+=/);
  });

  test("of no rows, one row, and values that are not finite", () => {
    expect(page([])).toContain("Nothing has been logged yet.");
    const one = page([{ step: 7, loss: 0.5 }]);
    requireCleanNumbers(one);
    expect(one).toContain("<svg");
    const nothing = page([{ step: 0, loss: null, scaleLoss: [null, null] }]);
    requireCleanNumbers(nothing);
    expect(nothing).toContain("No finite value.");
    const gap = page([1, null, 2, 3].map((loss, step) => ({ step, loss })));
    requireCleanNumbers(gap);
    expect(gap).toContain("some values not finite");
    const wild = [0, -1, 1e308, -1e308, 5e-324, Number.NaN, Number.POSITIVE_INFINITY];
    requireCleanNumbers(page(wild.map((loss, step) => ({ step, loss, constant: 4 }))));
  });

  test("escapes whatever the run is called and holds", () => {
    const hostile = `"><img src=x onerror=alert(1)>'&</style></title><script>\0\ud800`;
    const html = renderRunReport({
      title: hostile,
      parts: [
        {
          name: hostile,
          rows: [{ step: 1, [hostile]: 1, [`${hostile}s`]: [1, 2], constructor: 3, ["__proto__"]: 4 }],
          samples: [
            { step: 1, name: hostile, png },
            { step: 2, name: "no picture", png: new TextEncoder().encode(hostile) },
          ],
        },
        { name: "b", rows: [], samples: [] },
      ],
      config: { [hostile]: hostile },
      provenance: hostile,
    });
    expect(html).not.toMatch(/<img src=x|<script|\0/);
    expect(html.match(/<\/style>/g)?.length).toBe(1);
    expect(html.match(/<img/g)?.length).toBe(1);
    expect(html).not.toMatch(/\p{Cs}/u);
    expect(html).toContain("&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&#39;&amp;");
  });

  test("never throws on rows that JSON can hold", () => {
    const row = fc
      .dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }))
      .chain((rest) => fc.nat().map((step) => ({ ...rest, step }) as MetricsRow));
    fc.assert(
      fc.property(fc.array(row, { maxLength: 8 }), fc.jsonValue(), (rows, config) => {
        requireCleanNumbers(page(rows, config as Json)); // a JSON value
      }),
      { numRuns: 300 },
    );
  });

  test("deep and long configs are cut", () => {
    let deep: Json = 1;
    for (let i = 0; i < 5000; i++) deep = { a: deep };
    const long = Object.fromEntries(Array.from({ length: 1100 }, (_, i) => [`k${i}`, i]));
    const html = page([], { deep, long });
    expect(html).toContain("and 101 more");
  });

  test("of a run folder has its stages in order", async () => {
    const root = await mkdtemp(join(tmpdir(), "nextx-report-"));
    try {
      await using run = await RunFolder.create(join(root, "r"), { seed: 1 }, { provenance: { node: "v20" } });
      for (const [i, name] of ["10-transformer", "2-tokenizer"].entries()) {
        await using stage = await RunFolder.create(join(run.path, name), {});
        await stage.log({ step: 1, loss: i + 0.5 });
        for (let step = 1; step <= 8; step++) await stage.saveSample(step, "grid", png);
      }
      const html = await reportOfRun(run.path);
      expect(html.match(/<h2>[^<]*/g)).toEqual([
        "<h2>Tokenizer",
        "<h2>Transformer",
        "<h2>Configuration",
        "<h2>Provenance",
      ]);
      expect(html.match(/<img/g)?.length).toBe(12);
      await expect(reportOfRun(root)).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});

describe("parts of a chart", () => {
  test("ticks are round and inside", () => {
    expect(linearTicks(0, 6000, 6)).toEqual([0, 1000, 2000, 3000, 4000, 5000, 6000]);
    expect(linearTicks(0.13, 0.52, 4)).toEqual([0.2, 0.3, 0.4, 0.5]);
    expect(linearTicks(1, 1, 4)).toEqual([1]);
    expect(linearTicks(-1e308, 1e308, 4).every(Number.isFinite)).toBe(true);
  });

  test("smoothing keeps a constant, starts at the first value and skips gaps", () => {
    const points = [3, 3, Number.NaN, 3].map((y, x) => ({ x, y }));
    const close = expect.closeTo(3, 12);
    expect(smooth(points, 9).map(({ y }) => y)).toEqual([close, close, Number.NaN, close]);
    const step = [0, 1, 1].map((y, x) => ({ x, y }));
    expect(smooth(step, 1).map(({ y }) => y)).toEqual([0, 1, 1]);
  });

  test("thinning keeps every spike, the ends and the gaps", () => {
    const points = Array.from({ length: 20_000 }, (_, x) => ({
      x,
      y: x === 7777 ? 9 : x === 8888 ? Number.NaN : 0,
    }));
    const kept = thin(points);
    expect(kept.length).toBeLessThan(800);
    expect(kept.some(({ y }) => y === 9)).toBe(true);
    expect(kept.some(({ y }) => Number.isNaN(y))).toBe(true);
    expect([kept[0]?.x, kept.at(-1)?.x]).toEqual([0, 19_999]);
    expect(thin(points, true).length).toBeLessThan(190);
  });

  test("roughness tells noise from a line", () => {
    const line = Array.from({ length: 50 }, (_, x) => ({ x, y: x }));
    const saw = line.map(({ x }) => ({ x, y: x % 2 }));
    expect([roughness(line), roughness(saw), roughness([])]).toEqual([0, expect.closeTo(1, 1), 0]);
  });

  test("a logarithmic chart leaves out what has no logarithm", () => {
    const points = [-1, 0, 1, 10].map((y, x) => ({ x, y }));
    const svg = renderChart("t", [{ points, colour: "red" }], "log");
    requireCleanNumbers(svg);
    expect(svg.match(/[ML]\d/g)?.length).toBeGreaterThan(2);
    expect(renderChart("t", [{ points: points.slice(0, 2), colour: "red" }], "log")).toBe("");
  });

  test("numbers and text for people", () => {
    expect([0.1 + 0.2, 12, 1e-7, 123456789, 0, Number.NaN].map(formatNumber)).toEqual([
      "0.3",
      "12",
      "1.00e-7",
      "1.23e8",
      "0",
      "not finite",
    ]);
    expect(escapeHtml("a\tb\x1b\ud800")).toBe("a\tb\ufffd\ufffd");
  });
});

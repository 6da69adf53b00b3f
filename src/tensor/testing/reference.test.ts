import { describe, expect, it } from "vitest";
import { mul } from "../ops/elementwise.ts";
import { conv2d, matmul } from "../ops/linear.ts";
import { layerNorm, softmax } from "../ops/neural.ts";
import { sum } from "../ops/structure.ts";
import { opTable } from "../opTable.ts";
import { float32, input, sourceOps } from "../tensor.ts";
import { type Nd, nd } from "./ndarray.ts";
import { directionalDerivative, numericGradient, Reference } from "./reference.ts";
import { erf, rules } from "./rules.ts";

const x = input("x", float32(2, 2));
const run = (output: Parameters<typeof sum>[0], feeds: Record<string, Nd>): number[] =>
  Array.from((new Reference([output]).run(new Map(Object.entries(feeds)))[0] as Nd).data);

describe("the reference interpreter", () => {
  it("has a rule for every op with inputs to compute, and no other", () => {
    const sources = new Set(sourceOps.map((op) => op.name));
    const named = [...opTable.keys()].filter((name) => !sources.has(name));
    expect(Object.keys(rules).sort()).toEqual(named.sort());
  });

  it("gives numbers known by hand", () => {
    const feeds = { x: nd([1, 2, 3, 4], [2, 2]) };
    expect(run(matmul(x, x), feeds)).toEqual([7, 10, 15, 22]);
    expect(run(softmax(x), feeds)[0]).toBeCloseTo(1 / (1 + Math.E), 14);
    expect(run(layerNorm(x, 0), feeds)).toEqual([-1, 1, -1, 1]);
    const picture = input("p", float32(1, 1, 3, 3));
    const kernel = input("k", float32(1, 1, 2, 2));
    const conv = conv2d(picture, kernel, { pads: [1, 0, 0, 0] });
    const pictures = {
      p: nd([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]),
      k: nd([1, 10, 100, 1000], [1, 1, 2, 2]),
    };
    expect(run(conv, pictures)).toEqual([2100, 3200, 5421, 6532, 8754, 9865]);
  });

  it("computes erf to float64 accuracy", () => {
    const table = [
      0, 0, 0.5, 0.5204998778130465, 1, 0.8427007929497149, 3, 0.9999779095030014, -1, -0.8427007929497149,
    ];
    for (let i = 0; i < table.length; i += 2) {
      expect(erf(table[i] as number)).toBeCloseTo(table[i + 1] as number, 14);
    }
    expect([erf(7), erf(-7), erf(Number.NaN)]).toEqual([1, -1, Number.NaN]);
  });

  it("differentiates by central differences", () => {
    const loss = sum(mul(mul(x, x), x));
    const feeds = new Map([["x", nd([1, 2, -3, 0.5], [2, 2])]]);
    const gradient = numericGradient(loss, feeds, "x");
    gradient.data.forEach((g, i) => {
      expect(g).toBeCloseTo([3, 12, 27, 0.75][i] as number, 8);
    });
    expect(directionalDerivative(loss, feeds, new Map([["x", [1, 0, 2, 0]]]))).toBeCloseTo(57, 7);
  });

  it("refuses a shape that the graph did not promise", () => {
    const wrong = { ...softmax(x), shape: [3, 2] };
    expect(() => run(wrong, { x: nd([1, 2, 3, 4], [2, 2]) })).toThrow("softmax promised [3,2]");
  });
});

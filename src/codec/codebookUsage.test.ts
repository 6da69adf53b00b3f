import { describe, expect, it } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { CodebookUsage } from "./codebookUsage.ts";

describe("codebook usage", () => {
  it("is full and has perplexity V when every code is used alike, per scale", () => {
    const usage = new CodebookUsage(4, [1, 4]);
    for (let i = 0; i < 8; i++) usage.add(Int32Array.from([i % 4, 0, 1, 2, 3]));
    const { usage: shares, perplexity, deadCodes } = usage.report();
    expect(shares[1]).toBe(1);
    expect(perplexity[1]).toBeCloseTo(4, 6);
    expect(perplexity[0]).toBeGreaterThan(3);
    expect(deadCodes).toBe(0);
  });

  it("sees collapse: one code in use", () => {
    const usage = new CodebookUsage(4, [2]);
    usage.add(Int32Array.from([2, 2, 2, 2]));
    expect(usage.report()).toMatchObject({ usage: [0.25], deadCodes: 3 });
    expect(usage.report().perplexity[0]).toBeCloseTo(1, 6);
  });

  it("restarts dead codes next to busy ones, and only them", () => {
    const usage = new CodebookUsage(4, [2]);
    usage.add(Int32Array.from([0, 1, 0, 1]));
    const codebook = Float32Array.from([5, 5, -5, -5, 100, 100, 200, 200]);
    expect(usage.restart(codebook, RandomStream.from(1, "r"))).toEqual([2, 3]);
    expect([...codebook.subarray(0, 4)]).toEqual([5, 5, -5, -5]);
    for (const value of codebook.subarray(4)) expect(Math.abs(Math.abs(value) - 5)).toBeLessThan(40);
    expect(usage.dead()).toEqual([]);
  });

  it("restarts nothing before anything was seen", () => {
    const usage = new CodebookUsage(2, [1]);
    expect(usage.restart(new Float32Array(2), RandomStream.from(1, "r"))).toEqual([]);
  });

  it("continues from its state", () => {
    const [a, b] = [new CodebookUsage(3, [1, 1]), new CodebookUsage(3, [1, 1])];
    a.add(Int32Array.from([0, 1, 2, 2]));
    b.state = JSON.parse(JSON.stringify(a.state));
    for (const usage of [a, b]) usage.add(Int32Array.from([1, 1]));
    expect(b.report()).toEqual(a.report());
  });
});
